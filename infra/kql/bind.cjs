// Prints what Kusto says of each query on standard input (a JSON object: where it stands, and its text), one line each.
'use strict';
const fs = require('node:fs');
const { input, language } = require('./kusto.cjs');

const { GlobalState, KustoCode, Symbols } = language;
const [tablesFile] = process.argv.slice(2);
const tables = fs.readFileSync(tablesFile, 'utf8').split('\n')
  .map((line) => /^(\w+)\((.*)\)$/.exec(line))
  .filter(Boolean)
  .map(([, name, columns]) => new Symbols.TableSymbol.$ctor7(name, `(${columns})`, null));
const database = new Symbols.DatabaseSymbol.$ctor1('workspace', tables);
const globals = GlobalState.Default.WithDatabase(database);
let wrong = 0;
for (const [where, query] of Object.entries(input)) {
  const found = KustoCode.ParseAndAnalyze(query, globals).GetDiagnostics();
  for (let index = 0; index < found.Count; index += 1) {
    const { Severity, Message, Start } = found.getItem(index);
    if (Severity === 'Suggestion') continue;
    console.log(`${where}: ${Message} (at: ${query.slice(Start, Start + 30)})`);
    wrong += 1;
  }
}
process.exitCode = wrong ? 1 : 0;
