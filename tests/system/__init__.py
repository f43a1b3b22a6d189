"""The whole app from outside, through its contract alone: nothing here imports `functions` or `shared`."""

import pytest

# A failed assert of a helper shows what it compared, as one of a test does.
pytest.register_assert_rewrite("tests.system.answers", "tests.system.app", "tests.system.playground")
