// What the page holds. The index is read at once, a chunk of conversations when something in it is looked at.

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const byId = (id) => document.getElementById(id);

const VERDICTS = { c: "correct", w: "wrong", u: "unparsable", t: "timeout" };

const page = read("index");
const problems = new Map(page.problems.map((problem) => [problem.id, problem]));
const rows = page.rows.map((row, number) => ({
  ...row,
  number,
  problem: problems.get(row.problem),
  turns: row.verdicts.length,
  solved: row.verdicts.endsWith("c") ? row.verdicts.length : 0, // 0: never
  key: `${row.policy}/${row.trajectory}/${row.problem}`,
}));
const rowOfKey = new Map(rows.map((row) => [row.key, row]));
const unique = (values) => [...new Set(values)];
const policies = unique(rows.map((row) => row.policy));
const benchmarks = unique(page.problems.map((problem) => problem.benchmark));
const hasWeights = rows.some((row) => row.example !== null);

const rowsOfProblem = Map.groupBy(rows, (row) => row.problem.id);

const chunks = new Map();
function chunkOf(row) {
  const number = Math.floor(row.number / page.perChunk);
  if (!chunks.has(number)) chunks.set(number, read(`chunk-${number}`));
  return chunks.get(number);
}

// The turns of a conversation, and the formulas that their texts point into.
function conversation(row) {
  const chunk = chunkOf(row);
  return { turns: chunk.conversations[row.number % page.perChunk], formulas: chunk.formulas };
}

// A text as it was written: formulas are [source, tree].
function plain(text, formulas) {
  if (typeof text === "string") return text;
  return text.map((part) => (typeof part === "number" ? formulas[part][0] : part)).join("");
}

const haystacks = [];
function haystack(row) {
  if (haystacks[row.number] === undefined) {
    const { problem } = row;
    problem.haystack ??= [problem.id, plain(problem.gold, page.formulas), plain(problem.text, page.formulas)].join("\n");
    const { turns, formulas } = conversation(row);
    const said = turns.map((turn) => plain(turn.text, formulas)).join("\n");
    haystacks[row.number] = `${problem.haystack}\n${said}`.toLowerCase();
  }
  return haystacks[row.number];
}

// Makes ready for the first search while nobody waits.
function readAhead(number = 0) {
  requestIdleCallback((idle) => {
    while (number < rows.length && idle.timeRemaining() > 4) haystack(rows[number++]);
    if (number < rows.length) readAhead(number);
  });
}
