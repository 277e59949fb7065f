// The reader: one conversation, or two on the same problem side by side.

const outcome = (row) => (row.solved ? `solved at turn ${row.solved}` : `not solved in ${row.turns} turn${row.turns > 1 ? "s" : ""}`);
const nameOf = (row) => (rowsOfProblem.get(row.problem.id).filter((other) => other.policy === row.policy).length > 1 ? `${row.policy} #${row.trajectory}` : row.policy);

const FATES = {
  kept: "Trained on: the loss covers the marked response.",
  pruned: "Pruned: its weight is below prune_below, so it is not computed, but keeps its place in the batch.",
  dropped: "Dropped: no trajectory solved this problem (weighting.unsolved is drop), or this one was solved at none of the turns of weighting.solved_at.",
};

// What a conversation is compared with until something else is chosen: the policy that was compared with before, or
// another one, or else another outcome.
function defaultPartner(row, before) {
  const others = rowsOfProblem.get(row.problem.id).filter((other) => other !== row);
  return others.find((other) => before && other.policy === before.policy && other.trajectory === before.trajectory)
    ?? others.find((other) => other.policy !== row.policy && other.trajectory === row.trajectory)
    ?? others.find((other) => other.policy !== row.policy)
    ?? others.find((other) => Boolean(other.solved) !== Boolean(row.solved))
    ?? others[0] ?? null;
}

function button(label, key, click, attributes) {
  return el("button", { class: "plain", type: "button", click, ...attributes }, label, el("kbd", { "aria-hidden": "true" }, key));
}

function readerView(row, partner, actions) {
  const position = listed.indexOf(row);
  const { problem } = row;
  const crumbs = [problem.benchmark, problem.id].filter((name, index, all) => all.indexOf(name) === index);
  const several = rowsOfProblem.get(problem.id).length > 1;
  return [
    el("header", { class: "tools" },
      el("button", { class: "plain back", type: "button", click: actions.back, "aria-label": "Back to the list" }, "← List"),
      el("p", { class: "crumbs" }, ...crumbs.flatMap((name, index) => [index ? el("span", { "aria-hidden": "true" }, "/") : "", el("span", {}, name)])),
      el("span", { class: "place" }, position >= 0 ? `${(position + 1).toLocaleString("en")} of ${listed.length.toLocaleString("en")}` : "not in the list"),
      el("button", { class: "quiet step", type: "button", click: actions.previous, "aria-label": "Previous conversation", title: "Previous (k)" }, "↑"),
      el("button", { class: "quiet step", type: "button", click: actions.next, "aria-label": "Next conversation", title: "Next (j)" }, "↓"),
      button("Compare", "c", actions.compare, { "aria-pressed": String(Boolean(partner)), disabled: !several, id: "compare", title: several ? null : "There is one conversation on this problem" }),
      button("Raw chat", "r", actions.raw, { "aria-pressed": String(state.raw !== ""), id: "raw" }),
      button("Copy link", "l", actions.copy, { id: "copy" })),
    el("section", { class: "problem", "aria-label": "Problem" },
      textBlock(problem.text, page.formulas, { class: "said" }),
      el("div", { class: "gold" }, el("span", { class: "label" }, "Gold answer"), textBlock(problem.gold, page.formulas, { class: "value" }))),
    el("div", { class: partner ? "columns two" : "columns" }, columnView(row, null, actions), partner ? columnView(partner, row, actions) : null),
  ];
}

// One conversation; `beside` is the one it is compared with, and lets another be chosen instead.
function columnView(row, beside, actions) {
  const column = el("article", { class: "column", "data-key": row.key }, columnHead(row, beside, actions));
  const { turns, formulas } = conversation(row);
  if (state.raw) column.append(rawView(row, turns, formulas));
  else turns.forEach((turn, index) => {
    if (index) column.lastChild.append(el("p", { class: "feedback" }, page.feedback));
    column.append(turnView(row, turn, index, formulas));
  });
  return column;
}

function columnHead(row, beside, actions) {
  const partners = beside ? rowsOfProblem.get(row.problem.id).filter((other) => other !== beside) : [];
  const who = partners.length > 1
    ? el("select", { "aria-label": "Compare with", id: "partner", change: (event) => actions.partner(event.target.value) },
        ...partners.map((other) => el("option", { value: other.key, selected: other === row }, `${nameOf(other)} · ${other.solved ? `turn ${other.solved}` : "never"}`)))
    : el("h2", {}, nameOf(row));
  const fact = (label, value, title) => el("span", { class: "fact", title }, el("span", { class: "label" }, label), value);
  return el("header", { class: "columnhead" }, who,
    el("span", { class: `outcome ${row.solved ? "correct" : "wrong"}` }, outcome(row)),
    fact("return", returnText(row.return), "Eq. 12"),
    row.weight === null ? null : fact("weight", number(row.weight), "Eq. 13; the weights of a problem average 1"),
    row.example === null ? null : el("span", { class: `fate ${row.example}`, title: FATES[row.example] }, EXAMPLES[row.example]));
}

function turnView(row, turn, index, formulas) {
  const verdict = VERDICTS[row.verdicts[index]];
  return el("section", { class: `turn ${verdict}`, "data-trained": turn.trained, "aria-label": `Turn ${index + 1}` },
    el("header", {},
      el("span", { class: "mark", "aria-hidden": "true" }, String(index + 1)),
      el("span", { class: "verdict" }, verdict),
      turn.answer === null ? el("span", { class: "answer nothing" }, "no answer found") : el("span", { class: "answer", title: "The answer that was found in it, normalised" }, "answer ", answerNode(turn.answer)),
      turn.trained ? el("span", { class: "tag trained", title: FATES.kept }, `trained on × ${number(row.weight)}`) : null,
      turn.cut ? el("span", { class: "tag cut", title: "It was cut at the token limit" }, "cut") : null,
      el("span", { class: "tokens" }, `${turn.tokens.toLocaleString("en")} token${turn.tokens === 1 ? "" : "s"}`)),
    turn.text.length ? textBlock(turn.text, formulas, { class: "said" }) : el("p", { class: "said nothing" }, "(nothing)"));
}

function answerNode(answer) {
  const node = el("bdi", { class: "value" });
  appendPlain(node, answer.length > 200 ? `${answer.slice(0, 200)}…` : answer);
  return node;
}

// The chat as the model saw it. What the loss covers is marked.
function rawView(row, turns, formulas) {
  if (!row.raw) {
    return el("p", { class: "missing" }, "The raw chat cannot be shown: the tokenizer of reference_model does not decode these tokens to these responses, so it is another model's.");
  }
  const raw = el("div", { class: "rawchat", tabindex: "0", "aria-label": "Raw chat" }, textBlock(row.problem.prompt, [], { class: "context" }));
  turns.forEach((turn, index) => {
    const [response, between] = turn.raw;
    const verdict = VERDICTS[row.verdicts[index]];
    const spoken = response.map((part) => part ?? plain(turn.text, formulas));
    raw.append(textBlock(spoken, [], { class: `response ${verdict}`, "data-trained": turn.trained, title: `turn ${index + 1}: ${verdict}` }));
    if (between.length) raw.append(textBlock(between, [], { class: "context" }));
  });
  return raw;
}
