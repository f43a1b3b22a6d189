"""The walk must meet each failure once and whole: one that comes in parts looks as if cabs were missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, cast

from hypothesis import given
from hypothesis import strategies as st

from shared.cabs.container import CabContainer, StoredCab
from shared.reconcile.walk import FailureWalk
from shared.storage.table_rows import Row

if TYPE_CHECKING:
    from shared.progress.cabs import CabRows
    from shared.progress.pulls import PullRows

NOW = datetime.now(UTC)
type Key = tuple[str, str]


@dataclass
class Storage:
    """A pull, a cab row and a blob for each failure of three sets, in the orders of the services."""

    pulls: set[Key]
    cabs: set[Key]
    blobs: set[Key]

    def walk(self) -> FailureWalk:
        return FailureWalk(
            cast("PullRows", _Pulls(self)), cast("CabRows", _Cabs(self)), cast("CabContainer", _Blobs(self))
        )


@dataclass
class _Pulls:
    storage: Storage

    def applications(self) -> Iterator[str]:
        yield from sorted({application_id for application_id, _ in self.storage.pulls})

    def of_application(self, application_id: str) -> Iterator[Row]:
        for key in sorted(key for key in self.storage.pulls if key[0] == application_id):
            yield Row(*key, {}, "")


@dataclass
class _Cabs:
    storage: Storage

    def applications(self) -> Iterator[str]:
        yield from sorted({application_id for application_id, _ in self.storage.cabs})

    def of_application(self, application_id: str) -> Iterator[Row]:
        for partition in sorted("_".join(key) for key in self.storage.cabs if key[0] == application_id):
            for number in range(2):
                yield Row(partition, f"cab-{number}", {}, "")


@dataclass
class _Blobs:
    storage: Storage

    def applications(self) -> Iterator[str]:
        yield from sorted({application_id for application_id, _ in self.storage.blobs})

    def stored(self, prefix: str) -> Iterator[StoredCab]:
        names = [f"{'/'.join(key)}/cab-{number}.zip" for key in self.storage.blobs for number in range(2)]
        for name in sorted(name for name in names if name.startswith(prefix)):
            yield StoredCab(name, 1, "", format_datetime(NOW, usegmt=True))


hashes = st.from_regex(r"[aA1](?:[aA1._-]{0,4}[aA1])?", fullmatch=True)
keys = st.sets(st.tuples(st.sampled_from(["1", "12", "1-2", "a"]), hashes), max_size=12)


@given(st.builds(Storage, keys, keys, keys), st.sets(st.sampled_from(["pulls", "cabs", "blobs"])))
def test_each_failure_comes_once_and_whole(storage: Storage, alike: set[str]) -> None:
    """Whatever their names: orders differ between tables and listing where one name begins another."""
    for name in alike:  # many failures that all know, as there are
        setattr(storage, name, storage.pulls | storage.cabs | storage.blobs)
    seen = list(storage.walk().failures())
    by_key = {(each.application_id, each.failure_hash): each for each in seen}
    assert len(seen) == len(by_key)
    assert by_key.keys() == storage.pulls | storage.cabs | storage.blobs
    for key, each in by_key.items():
        assert (each.pull is not None) == (key in storage.pulls)
        assert [row.key for row in each.cabs] == (["cab-0", "cab-1"] if key in storage.cabs else [])
        expected = [f"{'/'.join(key)}/cab-{number}.zip" for number in range(2)] if key in storage.blobs else []
        assert [blob.name for blob in each.blobs] == expected
