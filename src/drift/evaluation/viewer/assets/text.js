// Text on the page. All of it goes in as text nodes, so nothing that a model said is ever parsed as HTML.

const MATHML = "http://www.w3.org/1998/Math/MathML";
const FOLD = 20_000; // characters shown at first
const UNFOLD = 100_000; // and with each "Show more"

// Characters that are invisible, or change the direction of what follows: shown by their number.
const HIDDEN = /([\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff])\1*/gu;

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const chip = (text, kind, title) => el("span", { class: `token ${kind}`, title }, text);

function hiddenChip(run) {
  const number = run.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return chip(run.length > 1 ? `U+${number} × ${run.length}` : `U+${number}`, "hidden", "A character that cannot be seen");
}

function appendPlain(parent, text) {
  let end = 0;
  for (const found of text.matchAll(HIDDEN)) {
    parent.append(text.slice(end, found.index), hiddenChip(found[0]));
    end = found.index + found[0].length;
  }
  parent.append(text.slice(end));
}

// MathML from [name, attributes?, ...children]; Python has let through only what is on its lists.
function mathNode([name, ...rest]) {
  const node = document.createElementNS(MATHML, name);
  for (const part of rest) {
    if (Array.isArray(part)) node.append(mathNode(part));
    else if (typeof part === "string") node.append(part);
    else for (const [attribute, value] of Object.entries(part)) node.setAttribute(attribute, value);
  }
  return node;
}

function formulaNode([source, tree]) {
  const block = tree[1]?.display === "block";
  return el("span", { class: block ? "formula block" : "formula", title: source }, mathNode(tree));
}

// Appends up to `budget` characters of a text; negative when there are more.
function appendText(parent, text, formulas, budget) {
  for (const part of typeof text === "string" ? [text] : text) {
    if (budget <= 0) return -1;
    if (typeof part === "number") {
      parent.append(formulaNode(formulas[part]));
      budget -= formulas[part][0].length;
    } else if (Array.isArray(part)) {
      parent.append(chip(part[0], "special", "A special token"));
      budget -= part[0].length;
    } else {
      appendPlain(parent, part.slice(0, budget));
      budget -= part.length;
    }
  }
  return budget;
}

// A block of text, folded when it is very long.
function textBlock(text, formulas, attributes) {
  const block = el("div", { dir: "auto", ...attributes });
  const show = (budget) => {
    block.replaceChildren();
    if (appendText(block, text, formulas, budget) >= 0) return;
    const left = (plain(text, formulas).length - budget).toLocaleString("en");
    block.append(" … ", el("button", { class: "plain", type: "button", click: () => show(budget + UNFOLD) }, `Show more of the ${left} characters left`));
  };
  show(FOLD);
  return block;
}

// Marks what was searched for, without touching the text.
function highlight(words, ...roots) {
  CSS.highlights?.clear();
  if (!words || !CSS.highlights) return;
  const ranges = [];
  for (const root of roots) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode() && ranges.length < 1000) {
      const node = walker.currentNode;
      const lower = node.data.toLowerCase();
      if (lower.length !== node.data.length) continue; // a letter whose lower case is longer: places would be off
      for (let at = lower.indexOf(words); at >= 0 && ranges.length < 1000; at = lower.indexOf(words, at + words.length)) {
        ranges.push(new StaticRange({ startContainer: node, startOffset: at, endContainer: node, endOffset: at + words.length }));
      }
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}

const number = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));
const returnText = (value) => value.toFixed(2).replace("-", "−");
