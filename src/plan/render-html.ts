import { createHash } from 'node:crypto';
import { html } from '../report/markdown.ts';
import type { Plan, PlannedObject, PlannedRelease } from './plan.ts';
import { diffRuns } from './render-diff.ts';
import {
  CHANGE_WORDS,
  CHANGES,
  closingLine,
  describeConflict,
  describeRelease,
  describeTally,
  describeWaits,
  factsOf,
  groupByKind,
  headlineOf,
  type KindGroup,
  nameOf,
  PROBLEM_WORDS,
  SYMBOLS,
  sortByChange,
  tallyOf,
  tallyOfItems,
  visible,
  visibleLine,
} from './render-facts.ts';
import { renderGraph } from './render-graph.ts';
import { SCRIPT, STYLE } from './render-html-assets.ts';

const END = '</div></section>';

/**
 * A plan as one page that needs nothing else: it loads nothing, and its policy lets nothing run but its own script. Everything
 * is in it as HTML, so that it reads without the script too, which only filters.
 */
export function renderPlanHtml(plan: Plan): string {
  const releases = sortByChange(plan.releases);
  const parts = [
    `<h1>${line(headlineOf(plan))}</h1>`,
    `<dl>${[...factsOf(plan), ['plan-id', plan.id] as const]
      .map(([label, value]) => `<dt>${label}</dt><dd><code>${line(value)}</code></dd>`)
      .join('')}</dl>`,
    tallyList(plan),
    ...problems(plan),
    ...graph(plan),
    filterForm(),
    '<div id="content">',
    ...(releases.length === 0
      ? []
      : [
          sectionStart('Releases', describeTally(tallyOfItems(releases))),
          ...releases.map((r) => releaseRow(plan, r)),
          END,
        ]),
    ...groupByKind(plan).flatMap(kindSection),
    '</div>',
    kindTable(plan),
    `<p><strong>${closingLine(plan)}</strong></p>`,
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Plan: ${line(plan.snapshot.id)} into ${line(plan.target.context)}</title>
<style>${STYLE}</style>
</head>
<body>
${parts.join('\n')}
<script>${SCRIPT}</script>
</body>
</html>
`;
}

// https://www.w3.org/TR/CSP3/: only what has these digests is applied and run.
function policy(): string {
  const digest = (text: string): string => createHash('sha256').update(text).digest('base64');
  return [
    "default-src 'none'",
    `style-src 'sha256-${digest(STYLE)}'`,
    `script-src 'sha256-${digest(SCRIPT)}'`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}

function tallyList(plan: Plan): string {
  const tally = tallyOf(plan);
  const items = CHANGES.map(
    (change) => `<li class="c-${change}"><b>${SYMBOLS[change]} ${tally[change]}</b> ${CHANGE_WORDS[change]}</li>`,
  );
  return `<ul class="tally" aria-label="Counts">${items.join('')}</ul>`;
}

function problems({ problems: all }: Plan): string[] {
  if (all.length === 0) return [];
  return [
    `<section aria-label="Problems"><h2>Problems (${all.length})</h2>`,
    ...all.map(({ kind, message, hint }) => {
      const advice = hint === undefined ? '' : `<pre>Hint: ${block(hint)}</pre>`;
      return `<div class="problem"><strong>${PROBLEM_WORDS[kind]}</strong><pre>${block(message)}</pre>${advice}</div>`;
    }),
    '</section>',
  ];
}

function graph(plan: Plan): string[] {
  if (plan.edges.length === 0) return [];
  const edges = plan.edges.map(({ from, to, reason }) => `<li>${line(`${to} waits for ${from}: ${reason}`)}</li>`);
  const picture = renderGraph(plan);
  return [
    '<section aria-label="Order of releases"><h2>Order of releases</h2>',
    ...(picture === undefined ? [] : [`<div class="wide">${picture}</div>`]),
    `<details${picture === undefined ? ' open' : ''}><summary>Who waits for whom</summary><ul>${edges.join('')}</ul></details>`,
    '</section>',
  ];
}

/** Hidden until the script, without which it does nothing, has started. */
function filterForm(): string {
  const boxes = CHANGES.map(
    (change) =>
      `<label><input type="checkbox" name="change" value="${change}"> <span class="c-${change}">${SYMBOLS[change]}</span> ${change}</label>`,
  );
  return `<h2>Changes</h2>
<form id="filter" role="search" hidden>
<input type="search" name="text" placeholder="Name or kind (press /)" aria-label="Filter by text" autocomplete="off">
<select name="kind" aria-label="Filter by kind"><option value="">All kinds</option></select>
<select name="namespace" aria-label="Filter by namespace"><option value="">All namespaces</option></select>
<fieldset aria-label="Filter by change">${boxes.join('')}</fieldset>
<button type="button" id="open">Open all</button>
<button type="button" id="close">Close all</button>
<button type="reset">Reset</button>
<output id="shown" aria-live="polite"></output>
</form>`;
}

function sectionStart(title: string, counts: string): string {
  return `<section><h3>${line(title)} <small>${counts}</small></h3><div class="rows">`;
}

function kindSection(group: KindGroup): string[] {
  if (group.objects.length === 0) return [];
  return [
    sectionStart(`${group.kind} (${group.apiVersion})`, describeTally(group.tally)),
    ...group.objects.map((object) =>
      rowOf(object, object.kind, `${object.kind} ${nameOf(object)}`, objectBody(object)),
    ),
    END,
  ];
}

function releaseRow(plan: Plan, release: PlannedRelease): string {
  const words = [
    ...(release.message === undefined ? [] : [release.message]),
    ...describeWaits(plan.edges, release),
    ...release.hooks.map((hook) => `hook that runs: ${hook}`),
  ];
  const objects = sortByChange(release.objects).map((object) =>
    rowOf(object, object.kind, `${object.kind} ${nameOf(object)}`, objectBody(object)),
  );
  const body = [
    words.length === 0 ? '' : `<pre>${block(words.join('\n'))}</pre>`,
    release.values === '' ? '' : `<div class="quiet">Values</div>${diffBlock(release.values)}`,
    objects.length === 0 ? '' : `<div class="quiet">Manifest</div><div class="rows">${objects.join('\n')}</div>`,
  ];
  return rowOf(release, 'Release', describeRelease(release), body.join(''));
}

function objectBody({ message, conflicts, diff }: PlannedObject): string {
  const words = [...(message === undefined ? [] : [message]), ...(conflicts ?? []).map(describeConflict)];
  return [
    words.length === 0 ? '' : `<pre>${block(words.join('\n'))}</pre>`,
    diff === undefined || diff === '' ? '' : diffBlock(diff),
  ].join('');
}

/** What has nothing more to show can't be opened. */
function rowOf(item: Pick<PlannedObject, 'change' | 'namespace'>, kind: string, title: string, body: string): string {
  const data = `class="row" data-c="${item.change}" data-k="${line(kind)}" data-n="${line(item.namespace ?? '')}"`;
  const head = `<span class="m">${SYMBOLS[item.change]}</span>${line(title)}`;
  if (body === '') return `<div ${data}><div class="s">${head}</div></div>`;
  return `<details ${data}><summary class="s">${head}</summary><div class="body">${body}</div></details>`;
}

/** An element for lines that belong together, so that large diffs stay light. */
function diffBlock(diff: string): string {
  const runs = diffRuns(diff).map(({ kind, lines }) => {
    const tag = { added: 'ins', removed: 'del', hunk: 'i', same: undefined }[kind];
    const text = html(`${lines.join('\n')}\n`);
    return tag === undefined ? `<span>${text}</span>` : `<${tag}>${text}</${tag}>`;
  });
  return `<pre>${runs.join('')}</pre>`;
}

function kindTable({ kinds }: Plan): string {
  if (kinds.length === 0) return '';
  const rows = kinds.map((kind) => {
    const counts = CHANGES.map((change) => `<td>${kind[change] || ''}</td>`).join('');
    return `<tr><td><code>${line(`${kind.kind} (${kind.apiVersion})`)}</code></td>${counts}</tr>`;
  });
  const heads = CHANGES.map((change) => `<th scope="col">${change}</th>`).join('');
  return `<h2>Kinds</h2><div class="wide"><table><tr><th scope="col">Kind</th>${heads}</tr>${rows.join('')}</table></div>`;
}

function line(text: string): string {
  return html(visibleLine(text));
}

function block(text: string): string {
  return html(visible(text).trimEnd());
}
