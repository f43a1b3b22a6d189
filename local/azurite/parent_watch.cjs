"use strict";
// Loaded before Azurite (node --require). Ends it when its standard input ends, which happens when the process that
// started it stops it or dies, however it dies and on every system: no Azurite is ever left behind.
process.stdin.on("error", shutDown).on("end", shutDown).resume();
process.stdin.unref?.(); // never a reason to stay alive by itself

function shutDown() {
  // Azurite saves what it holds when it is sent this message; before it has started it does not listen yet.
  if (!process.emit("message", "shutdown")) process.exit(1);
}
