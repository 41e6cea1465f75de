/** The page's look, for light and dark screens and for paper. */
export const STYLE = `
:root { color-scheme: light dark; --ground: #ffffff; --raised: #f6f8fa; --line: #d0d7de; --text: #1f2328; --quiet: #59636e;
  --create: #1a7f37; --update: #7d4e00; --recreate: #bc4c00; --delete: #cf222e; --keep: #8250df; --link: #0969da;
  --added: #dafbe1; --removed: #ffebe9; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0d1117; --raised: #161b22; --line: #3d444d; --text: #f0f6fc; --quiet: #9198a1;
    --create: #3fb950; --update: #d29922; --recreate: #f0883e; --delete: #ff7b72; --keep: #bc8cff; --link: #58a6ff;
    --added: #12361f; --removed: #4b1a1d; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 80rem; padding: 1.5rem; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Open Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; overflow-wrap: anywhere; }
code, pre, .s { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: .25rem 0; padding: .5rem .75rem; background: var(--raised); border-radius: 6px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; }
dt, small, .quiet { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 1px; }
.tally { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; padding: 0; list-style: none; }
.tally li { padding: .35rem .75rem; border: 1px solid var(--line); border-radius: 6px; }
.tally b { font-size: 1.1rem; }
.problem { margin: .5rem 0; padding: .5rem .75rem; border: 1px solid var(--delete); border-left-width: 5px; border-radius: 6px; }
.problem strong { color: var(--delete); }
.problem pre { background: none; padding: 0; }
form { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .5rem .75rem; align-items: center;
  padding: .75rem 0; background: var(--ground); border-bottom: 1px solid var(--line); }
[hidden] { display: none !important; }
input, select, button { font: inherit; color: inherit; background: var(--raised); border: 1px solid var(--line);
  border-radius: 6px; padding: .3rem .6rem; max-width: 100%; }
input[type=search] { flex: 1 1 14rem; }
fieldset { display: flex; flex-wrap: wrap; gap: .25rem .75rem; margin: 0; padding: 0; border: 0; }
.rows { border: 1px solid var(--line); border-radius: 6px; }
.row { content-visibility: auto; contain-intrinsic-size: auto 2rem; border-top: 1px solid var(--line); }
.row:first-child { border-top: 0; }
.row > .s { padding: .3rem .75rem; overflow-wrap: anywhere; }
div.row > .s { padding-left: 1.85rem; }
summary { cursor: pointer; }
summary:hover { background: var(--raised); }
.body { padding: 0 .75rem .75rem 1.85rem; }
.body .row { content-visibility: visible; }
.m { display: inline-block; min-width: 2.5em; font-weight: 700; }
[data-c=create] > .s > .m, .c-create { color: var(--create); } [data-c=update] > .s > .m, .c-update { color: var(--update); }
[data-c=recreate] > .s > .m, .c-recreate { color: var(--recreate); } [data-c=delete] > .s > .m, .c-delete { color: var(--delete); }
[data-c=keep] > .s > .m, .c-keep { color: var(--keep); } [data-c=unchanged] > .s, .c-unchanged { color: var(--quiet); }
pre ins, pre del, pre i { display: block; text-decoration: none; font-style: normal; }
pre ins { background: var(--added); } pre del { background: var(--removed); } pre i { color: var(--quiet); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .25rem .75rem; border: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
svg text { font: 12px ui-monospace, Menlo, Consolas, monospace; fill: var(--text); }
svg rect { fill: var(--raised); stroke: currentColor; stroke-width: 1.5; }
svg path { fill: none; stroke: var(--quiet); stroke-width: 1.25; } svg marker path { fill: var(--quiet); stroke: none; }
@media print {
  form { display: none; } body { max-width: none; padding: 0; } .row { content-visibility: visible; break-inside: avoid-page; }
}
`;

/**
 * Finds rows. It reads what the page shows and hides what does not match; without it everything is there, unfiltered.
 * Text of the plan only ever becomes text.
 */
export const SCRIPT = `
'use strict';
(() => {
  const form = document.getElementById('filter');
  const rows = [...document.querySelectorAll('#content > section > .rows > .row')].map((element) => ({
    element,
    change: element.dataset.c,
    kind: element.dataset.k,
    namespace: element.dataset.n,
    text: [...element.querySelectorAll('.s')].map((line) => line.textContent).join(' ').toLowerCase(),
  }));
  const sections = [...document.querySelectorAll('#content > section')];
  const { text, kind, namespace } = form.elements;
  const boxes = [...form.querySelectorAll('[name=change]')];
  const choices = (select, key) => {
    const values = [...new Set(rows.map((row) => row[key]))].filter((value) => value !== '').sort();
    select.append(...values.map((value) => new Option(value, value)));
  };
  const matches = () => {
    const words = text.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const changes = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    return (row) =>
      (changes.size === 0 || changes.has(row.change)) &&
      (kind.selectedIndex < 1 || row.kind === kind.value) &&
      (namespace.selectedIndex < 1 || row.namespace === namespace.value) &&
      words.every((word) => row.text.includes(word));
  };
  const filter = () => {
    const test = matches();
    let shown = 0;
    for (const row of rows) {
      const hide = !test(row);
      if (!hide) shown++;
      if (row.element.hidden !== hide) row.element.hidden = hide;
    }
    for (const section of sections) section.hidden = section.querySelector(':scope > .rows > .row:not([hidden])') === null;
    document.getElementById('shown').textContent = shown + ' of ' + rows.length + ' shown';
  };
  let waiting;
  form.addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 60);
  });
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('reset', () => setTimeout(filter));
  // As many as can be laid out at once.
  const MOST_OPEN = 500;
  const openAll = (open) => {
    let left = MOST_OPEN;
    for (const { element } of rows) {
      if (element.localName !== 'details' || element.hidden || element.open === open) continue;
      if (open && left-- <= 0) break;
      for (const details of [element, ...element.querySelectorAll('details')]) details.open = open;
    }
  };
  document.getElementById('open').addEventListener('click', () => openAll(true));
  document.getElementById('close').addEventListener('click', () => openAll(false));
  document.addEventListener('keydown', (event) => {
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(input|select|textarea)$/.test(event.target.localName)) return;
    event.preventDefault();
    text.focus();
  });
  choices(kind, 'kind');
  choices(namespace, 'namespace');
  filter();
  form.hidden = false;
})();
`;
