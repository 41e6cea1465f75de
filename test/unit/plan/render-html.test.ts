import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { renderPlanHtml } from '../../../src/plan/render-html.ts';
import { HOSTILE, hostilePlan, largePlan, nothingPlanned, plan, stopped } from '../../helpers/plans.ts';

const page = renderPlanHtml(stopped);

it('shows what would change as rows that open, problems first', () => {
  const order = ['<h1>', 'Problems (2)', 'Order of releases', 'Changes', 'Releases <small>', '<h3>ConfigMap', 'Kinds'];
  const places = order.map((text) => page.indexOf(text));
  expect(places).toEqual([...places].sort((a, b) => a - b));
  expect(places[0]).toBeGreaterThan(0);
  expect(page).toContain('<h1>An import of 26-01-31_12-00-00 of stage into prod would fail: 2 problems</h1>');
  expect(page).toContain(
    '<details class="row" data-c="update" data-k="ConfigMap" data-n="shop"><summary class="s"><span class="m">~</span>ConfigMap shop/settings</summary>' +
      '<div class="body"><pre>takes over from kubectl-client-side-apply: data.greeting</pre>' +
      '<pre><i>@@ -1,4 +1,4 @@\n</i><span> apiVersion: v1\n data:\n</span><del>-  greeting: hello\n</del><ins>+  greeting: good day\n</ins><span> kind: ConfigMap\n</span></pre></div></details>',
  );
  expect(page).toContain(
    '<div class="row" data-c="create" data-k="ConfigMap" data-n="shop"><div class="s"><span class="m">+</span>ConfigMap shop/a-new-one</div></div>',
  );
  expect(page).toContain(
    '<div class="problem"><strong>a class that does not exist</strong><pre>StorageClass fast does not exist.\nIt is used by: PersistentVolumeClaim shop/data</pre><pre>Hint: Create it, or map it with `storage-class-map`.</pre></div>',
  );
  expect(page).toContain(
    '<p><strong>Plan: 2 to create, 2 to update, 1 to recreate, 1 to delete, 48 unchanged, 1 kept.</strong></p>',
  );
});

it('says that nothing would change, without parts that would be empty', () => {
  const quiet = renderPlanHtml(nothingPlanned);
  expect(quiet).toContain('<h1>No changes: prod already has what 26-01-31_12-00-00 of stage would bring</h1>');
  expect(quiet).not.toContain('Problems (');
  expect(quiet).not.toContain('Order of releases');
});

describe('the policy of the page', () => {
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1] ?? '';
  const digestOf = (tag: string) => {
    const found = [...page.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, 'g'))];
    expect(found).toHaveLength(1);
    return createHash('sha256')
      .update(found[0]?.[1] ?? '')
      .digest('base64');
  };

  it('allows its own style and script, known by their digests, and nothing else', () => {
    expect(policy.split('; ')).toEqual([
      "default-src 'none'",
      `style-src 'sha256-${digestOf('style')}'`,
      `script-src 'sha256-${digestOf('script')}'`,
      "base-uri 'none'",
      "form-action 'none'",
    ]);
  });

  it('stands before anything it governs', () => {
    expect(page.indexOf('Content-Security-Policy')).toBeLessThan(page.indexOf('<style>'));
    expect(page).not.toMatch(/ style="| on[a-z]+="|javascript:| src=| href=/);
  });
});

it('makes no HTML of any text of the plan', () => {
  // The same elements as of a plan whose texts are harmless, and each attribute one that the page itself writes.
  const hostile = renderPlanHtml(hostilePlan());
  const allowed = new Set(elementsOf(page));
  expect([...new Set(elementsOf(hostile))].filter((element) => !allowed.has(element))).toEqual([]);
  for (const text of HOSTILE.filter((some) => some.includes('<'))) expect(hostile).not.toContain(text);
  expect(hostile.match(/<script/g)).toHaveLength(1);
  expect(hostile.match(/<\/script/g)).toHaveLength(1);
});

describe('the order of releases', () => {
  const graphOf = (edges: readonly (readonly [string, string])[]) =>
    renderPlanHtml(plan({ edges: edges.map(([from, to]) => ({ from, to, reason: 'a CRD' })) }));
  const placesIn = (html: string) =>
    Object.fromEntries(
      [...html.matchAll(/<title>([^:<]*): \w+<\/title><rect x="(\d+)" y="(\d+)"/g)].map(([, name, x, y]) => [
        name,
        [Number(x), Number(y)],
      ]),
    );

  it('is a picture with a column for each step', () => {
    const edges = [
      ['a/crds', 'a/db'],
      ['a/db', 'a/web'],
      ['a/crds', 'a/web'],
      ['a/crds', 'a/mail'],
    ] as const;
    expect(placesIn(graphOf(edges))).toEqual({
      'a/crds': [8, 8],
      'a/db': [348, 8],
      'a/web': [688, 8],
      'a/mail': [348, 52],
    });
  });

  it('is drawn where releases wait for each other in a circle', () => {
    const places = placesIn(
      graphOf([
        ['a/x', 'a/y'],
        ['a/y', 'a/x'],
        ['a/y', 'a/z'],
      ]),
    );
    expect(Object.keys(places).sort()).toEqual(['a/x', 'a/y', 'a/z']);
    expect(new Set(Object.values(places).map(String)).size).toBe(3);
  });

  it('is a list alone where a picture would not be read', () => {
    const many = graphOf(Array.from({ length: 120 }, (_, index) => ['a/db', `a/r${index}`] as const));
    expect(many).not.toContain('<svg');
    expect(many).toContain(
      '<details open><summary>Who waits for whom</summary><ul><li>a/r0 waits for a/db: a CRD</li>',
    );
  });
});

it('has every object, however many there are', () => {
  expect(renderPlanHtml(largePlan(5000)).match(/class="row"/g)).toHaveLength(5000);
});

/** Each start tag with the names of its attributes: `details class data-c`. */
function elementsOf(html: string): string[] {
  const body = html.slice(html.indexOf('<body>')).replace(/<script>[\s\S]*<\/script>/, '');
  return [...body.matchAll(/<([a-z][a-z0-9]*)((?: [a-z-]+(?:="[^"]*")?)*)\/?>|<[^/]/gi)].map(
    ([all, name, attributes]) =>
      name === undefined ? all : [name, ...(attributes ?? '').replace(/="[^"]*"/g, '').split(' ')].join(' '),
  );
}
