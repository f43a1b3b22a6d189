"""The preflight: does everything that a pull needs answer, and if not, what should a person do?"""

import azure.functions as func

from functions.http_answers import answer, answering

blueprint = func.Blueprint(http_auth_level=func.AuthLevel.FUNCTION)


@blueprint.route("preflight", methods=["GET"])
@answering
def preflight(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Ask every part once. Always 200: the report came about, and whether the app is ready is what it tells."""
    from shared.api.state import PreflightBody
    from shared.preflight.run import preflight

    return answer(PreflightBody.of(preflight()))
