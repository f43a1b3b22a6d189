"""The preflight: does everything that a pull needs answer, and if not, what should a person do?"""

from http import HTTPStatus

import azure.functions as func

from functions.http_answers import Problem, answer, answering

blueprint = func.Blueprint(http_auth_level=func.AuthLevel.FUNCTION)


@blueprint.route("preflight", methods=["POST"])
@answering()
def preflight(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Ask every part once. Always 200: the report came about, and whether the app is ready is what it tells."""
    from shared.api.state import PreflightBody
    from shared.preflight.last import kept_preflight

    return answer(PreflightBody.of(kept_preflight()))


@blueprint.route("preflight", methods=["GET", "HEAD"])
@answering()
def show_preflight(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Tell what the last preflight found, and when; nothing is asked and nothing written."""
    from shared.api.bodies import body_of
    from shared.api.state import LastPreflightBody, PreflightBody
    from shared.preflight.last import last_preflight

    last = last_preflight()
    if last is None:
        raise Problem(HTTPStatus.NOT_FOUND, "no preflight was kept yet: POST /api/preflight")
    return answer(body_of(LastPreflightBody, PreflightBody.of(last.results), last))
