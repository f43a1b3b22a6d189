// Counts the rows that queries find. On standard input: {"queries": [query], "workspaces": [{table: [row]}]}; on standard
// output a list of numbers for each workspace. It knows what our alerts use of Kusto, and refuses the rest: a guess would
// be no test.
'use strict';
const { input, language } = require('./kusto.cjs');

const kindOf = (node) => Bridge.getTypeName(node).split('.').pop();
const childrenOf = (node) => Array.from({ length: node.ChildCount }, (_, index) => node.GetChild(index)).filter(Boolean);
const refuse = (node) => { throw new Error(`nobody knows here what ${kindOf(node)} "${node.ToString().trim()}" means`); };
const isToken = (node) => kindOf(node).startsWith('SyntaxToken');
// Lists, and their elements with commas, stand between a node and what it is made of.
const partsOf = (node) => childrenOf(node)
  .flatMap((child) => (isToken(child) || !kindOf(child).includes(']]') ? [child] : partsOf(child)))
  .filter((child) => !isToken(child));
const textOf = (node) => node.ToString().trim();

const COMPARED = {
  '==': (left, right) => left === right,
  '>': (left, right) => left > right,
  has: (left, right) => new RegExp(`(^|[^a-z0-9])${right.toLowerCase()}($|[^a-z0-9])`).test(left.toLowerCase()),
};

function valueOf(node, row) {
  switch (kindOf(node)) {
    case 'NameReference':
      return textOf(node) in row ? row[textOf(node)] : refuse(node);
    case 'LiteralExpression':
      return JSON.parse(textOf(node));
    case 'BinaryExpression': {
      const [left, right] = partsOf(node);
      const operator = textOf(childrenOf(node).find(isToken));
      if (operator === 'and') return valueOf(left, row) && valueOf(right, row);
      return (COMPARED[operator] ?? (() => refuse(node)))(valueOf(left, row), valueOf(right, row));
    }
    case 'InExpression': {
      const [left, right] = partsOf(node);
      if (textOf(childrenOf(node).find(isToken)) !== 'in') refuse(node);
      return partsOf(right).some((each) => valueOf(each, row) === valueOf(left, row));
    }
    default:
      return refuse(node);
  }
}

function rowsOf(node, tables) {
  switch (kindOf(node)) {
    case 'NameReference':
      return tables[textOf(node)] ?? refuse(node);
    case 'PipeExpression': {
      const [before, operator] = partsOf(node);
      if (kindOf(operator) !== 'FilterOperator') refuse(operator);
      const [condition] = partsOf(operator);
      return rowsOf(before, tables).filter((row) => valueOf(condition, row));
    }
    default:
      return refuse(node);
  }
}

const asked = input.queries.map((query) => partsOf(partsOf(language.KustoCode.Parse(query).Syntax)[0])[0]);
console.log(JSON.stringify(input.workspaces.map((tables) => asked.map((node) => rowsOf(node, tables).length))));
