"""Whatever stands in the environment: settings, or an error that names each bad one and shows no secret."""

from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import SettingsError
from shared.core.settings import Settings
from shared.core.settings_table import SETTINGS

SECRET = "Kn0wnOnlyToTheOwner"
NAMES = [setting.name for setting in SETTINGS if setting.name != "CAB_STORAGE"]
URIS = [f"CAB_STORAGE__{kind}ServiceUri" for kind in ("blob", "queue", "table")]
VALUES = (
    st.text(max_size=20)
    | st.integers(-5, 10**12).map(str)
    | st.sampled_from(
        ["https://x.y", "http://127.0.0.1:1", "http://[", "https://x:port", "a,b", ".x.y", "٣", "1e3", "\0"]
    )
)
SECRETS = st.sampled_from(
    [
        SECRET,
        f"AccountName=a;AccountKey={SECRET}",
        f"BlobEndpoint=https://x.y;SharedAccessSignature=sv=1&sig={SECRET}",
        f"eyJ{SECRET}.{SECRET}.{SECRET}",
    ]
)
SECRET_NAMES = [setting.name for setting in SETTINGS if setting.secret]
ENVIRONMENTS = st.builds(
    lambda plain, secret: {**plain, **secret},
    st.dictionaries(st.sampled_from([*NAMES, *URIS, "CAB_STORAGE__clientId", "CAB_STORAGE__credential"]), VALUES),
    st.dictionaries(st.sampled_from(SECRET_NAMES), SECRETS),
)


@given(ENVIRONMENTS)
def test_any_environment_gives_settings_or_an_error_that_names_them(environment: dict[str, str]) -> None:
    told, is_refused = read(environment)
    assert not is_refused or any(name in told for name in (*NAMES, *URIS, "CAB_STORAGE"))
    assert SECRET not in told


@given(name=st.sampled_from([name for name in NAMES if not name.startswith("DEVCENTER_")]), value=VALUES)
def test_one_bad_setting_is_the_one_that_is_named(name: str, value: str) -> None:
    good = {"CAB_STORAGE": "AccountName=a;AccountKey=a2V5", "DEVCENTER_ACCESS_TOKEN": "token"}
    told, is_refused = read({**good, name: value})
    if is_refused:
        assert told.startswith((f"{name} is ", f"{name} holds "))
        assert not any(other in told.replace(value.strip() or name, name) for other in NAMES if other != name)


def read(environment: dict[str, str]) -> tuple[str, bool]:
    """Return the settings or their error as text, and which of the two it is."""
    try:
        return repr(Settings.from_environment(environment)), False
    except SettingsError as error:
        return str(error), True
