// Kusto's parser, which its package ships as scripts for a page.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const folder = path.dirname(require.resolve('@kusto/language-service-next/package.json'));
for (const name of ['bridge.min.js', 'Kusto.Language.Bridge.min.js']) {
  vm.runInThisContext(fs.readFileSync(path.join(folder, name), 'utf8'), name);
}
exports.language = Kusto.Language;
exports.input = JSON.parse(fs.readFileSync(0, 'utf8'));
