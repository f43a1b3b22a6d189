"use strict";
// Loaded before Azurite (node --require). Ends it when its standard input ends, which happens when the process that
// started it dies, however it dies and on every system: no Azurite is ever left behind.
process.stdin.on("error", () => process.exit()).on("end", () => process.exit()).resume();
process.stdin.unref?.(); // never a reason to stay alive by itself
