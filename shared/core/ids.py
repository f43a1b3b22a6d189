"""What ids of the Dev Center may be, wherever they come from: settings, calls, files and answers.

Imports nothing but the standard library, as the settings do. What is refused here could break a blob name, a table key
or a URL: the underscore of an applicationId would make the partition keys of the cabs table ambiguous.
"""

import re

# A decimal of 17 digits above 2^53 in every sample (devcenter-api.md), which promises no more.
APPLICATION_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
APPLICATION_RULE = "1 to 64 letters, digits or dashes"
# Of a report schedule, or of its template: a number in every sample.
REPORT_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
