"""What each refusal means stands in one table, and no status decides before the service's own code."""

from datetime import timedelta

import pytest

from shared.core.errors import AgainLater, BadAnswer, CabferryError, CabUnavailable, FreshUrl, NeedsPerson, Never
from shared.core.refusals import TABLE, Meaning, Refusal, Where, rule_for

QUOTA = "Out of call volume quota. Quota will be replenished in 00:00:05."


@pytest.mark.parametrize(
    ("where", "status", "code", "meaning"),
    [
        *(
            (Where.STORAGE, status, "CannotVerifyCopySource", Meaning.SOURCE_UNREAD)
            for status in (403, 404, 409, 500, 503)
        ),
        (Where.STORAGE, 400, "InvalidSourceBlobUrl", Meaning.SOURCE_UNREAD),
        (Where.TAGGED_BLOB, 500, "CannotVerifyCopySource", Meaning.SOURCE_UNREAD),
        (Where.STORAGE, 409, "BlobAlreadyExists", Meaning.EXISTS),
        (Where.STORAGE, 412, "ConditionNotMet", Meaning.CHANGED),
        (Where.TAGGED_BLOB, 403, "AuthorizationPermissionMismatch", Meaning.TAGS_REFUSED),
        (Where.TAGGED_BLOB, 400, "InvalidTagName", Meaning.TAGS_REFUSED),
        (Where.TAGGED_BLOB, 403, "AuthorizationFailure", Meaning.NETWORK),
        (Where.STORAGE, 403, "AuthorizationPermissionMismatch", Meaning.NO_PERMISSION),
        (Where.STORAGE, 400, "InvalidAuthenticationInfo", Meaning.UNKNOWN_CALLER),
        (Where.STORAGE, 503, "", Meaning.FAILING),
        (Where.STORAGE, 409, "ContainerBeingDeleted", Meaning.BUSY),
        (Where.STORAGE, 404, "BlobNotFound", Meaning.MISSING),
        (Where.STORAGE, 302, "", Meaning.ODD),
        (Where.ROW, 409, "", Meaning.EXISTS),
        (Where.ROW, 409, "TableBeingDeleted", Meaning.BUSY),
        (Where.ROW, 412, "", Meaning.CHANGED),
        (Where.ROW, 404, "ResourceNotFound", Meaning.MISSING),
        (Where.ROW, 404, "TableNotFound", Meaning.NOT_DEPLOYED),
        (Where.ROW, 400, "", Meaning.WRONG_REQUEST),
        (Where.DEVCENTER, 401, "", Meaning.UNKNOWN_CALLER),
        (Where.DEVCENTER, 403, "Forbidden", Meaning.NO_PERMISSION),
        (Where.DEVCENTER, 404, "", Meaning.MISSING),
        (Where.DEVCENTER, 500, "", Meaning.FAILING),
        (Where.DEVCENTER, 302, "", Meaning.ODD),
        (Where.CAB_SOURCE, 403, "AuthenticationFailed", Meaning.SAS_REFUSED),
        (Where.CAB_SOURCE, 410, "", Meaning.SOURCE_GONE),
        (Where.CAB_SOURCE, 503, "ServerBusy", Meaning.FAILING),
        (Where.REPORT, 404, "BlobNotFound", Meaning.STALE_LOCATION),
        (Where.REPORT_BY_TOKEN, 403, "", Meaning.NO_PERMISSION),
        (Where.TOKEN, 400, "AADSTS7000215", Meaning.UNKNOWN_CALLER),
        (Where.TOKEN, 400, "AADSTS90033", Meaning.FAILING),
        (Where.TOKEN, 429, "AADSTS7000215", Meaning.BUSY),
        (Where.TOKEN, 404, "", Meaning.FAILING),
    ],
)
def test_a_refusal_means(where: Where, status: int, code: str, meaning: Meaning) -> None:
    assert rule_for(where, status, code).meaning is meaning


@pytest.mark.parametrize("where", [Where.DEVCENTER, Where.CAB_SOURCE, Where.REPORT, Where.REPORT_BY_TOKEN])
@pytest.mark.parametrize("status", [403, 429, 503])
def test_whoever_asks_for_a_wait_gets_it_whatever_the_status(where: Where, status: int) -> None:
    for headers, text in ((dict[str, str](), QUOTA), ({"Retry-After": "5"}, ""), ({}, "Try again in 5 seconds.")):
        error = Refusal.of(where, status, headers.get, text).as_error("the page")
        assert type(error) is AgainLater
        assert error.wait == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("where", "status", "kind", "told"),
    [
        (Where.CAB_SOURCE, 403, FreshUrl, "403"),
        (Where.CAB_SOURCE, 404, CabUnavailable, "404"),
        (Where.REPORT, 403, FreshUrl, "a fresh location"),
        (Where.REPORT_BY_TOKEN, 403, NeedsPerson, "DEVCENTER_STORAGE_TENANT_ID"),
        (Where.DEVCENTER, 401, NeedsPerson, "Partner Center account"),
        (Where.DEVCENTER, 400, Never, "400"),
        (Where.STORAGE, 403, NeedsPerson, "CAB_STORAGE"),
        (Where.STORAGE, 304, BadAnswer, "304"),
    ],
)
def test_each_ends_in_what_helps(where: Where, status: int, kind: type[CabferryError], told: str) -> None:
    error = Refusal.of(where, status, {"x-ms-request-id": "9f-1"}.get, "").as_error("the page")
    assert type(error) is kind
    assert str(error).startswith(f"the page: {where} answered {status} ")
    assert told in str(error)
    assert "x-ms-request-id 9f-1" in str(error)


def test_no_line_of_the_table_hides_behind_another() -> None:
    """A line that can never hold would tell its reader what is not so."""
    for rule in TABLE:
        status = int(rule.status.split(" ")[0].replace("xx", "77").replace("*", "477"))
        code = rule.code.split(" ")[0].replace("*", "")
        where = rule.where or Where.DEVCENTER
        assert rule_for(where, status, code, is_wait=code == "(wait)") is rule


@pytest.mark.parametrize("where", Where)
@pytest.mark.parametrize("code", ["sig=QZXJ", "QZXJ is bad", "QZXJ\nINFO all is well", "QZXJ/QZXJ+QZXJ=", "QZXJ" * 30])
def test_a_code_that_is_none_is_not_shown(where: Where, code: str) -> None:
    """A server that quotes its request may do so in any header."""
    assert "QZXJ" not in str(Refusal.of(where, 400, {"x-ms-error-code": code}.get, "").as_error("the page"))


def test_what_a_service_says_and_what_to_do_are_two_sentences() -> None:
    said = '{"error": {"message": "Access to the requested resource is forbidden."}}'
    error = Refusal.of(Where.DEVCENTER, 403, dict[str, str]().get, said).as_error("the page")
    assert "is forbidden. Give" in str(error)
