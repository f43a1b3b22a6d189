"""The triggers: each decodes what came, calls `shared`, and encodes the answer.

Modules here import `azure.functions` and what needs nothing but the standard library. Everything else is imported
within a function, when it is first called: indexing the app then costs nothing, and neither a package that cannot be
imported nor a setting that is missing can leave an app without functions and without a reason. The call that needs it
says so.
"""
