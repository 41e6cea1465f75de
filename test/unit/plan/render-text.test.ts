import { describe, expect, it } from 'vitest';
import { renderPlanText } from '../../../src/plan/render-text.ts';
import { createPaint } from '../../../src/report/text.ts';
import {
  hostilePlan,
  largePlan,
  nothingPlanned,
  plan,
  plannedKind,
  plannedObject,
  stopped,
} from '../../helpers/plans.ts';

const plain = createPaint(false);
/** Colours as words, so that a test shows them. */
const named = (colour: string, text: string) => `<${colour}>${text}</${colour}>`;

it('shows what would change, release by release and kind by kind, and last what stands in its way', () => {
  expect(renderPlanText(stopped, plain)).toBe(`An import of 26-01-31_12-00-00 of stage into prod would fail: 2 problems
  Snapshot  26-01-31_12-00-00
  Location  s3://backups/26-01-31_12-00-00.tar.zst
  Digest    sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
  From      stage
  Into      prod (https://prod.example.com:6443)
  Computed  2026-01-31T12:30:00Z

Releases
    ~ shop/shop: shop 1.3.0 → 1.4.0, app 2.0 → 2.1, revision 4 → 5, carries 1 revision
      Its own history stays: the revision 5 is added to it.
      waits for shop/db: it provides the CustomResourceDefinition dbs.example.com
      hooks that run:
        pre-upgrade Job shop/migrate
      values:
        @@ -1,2 +1,2 @@
         image:
        -  tag: "2.0"
        +  tag: "2.1"
      manifest:
          - CronJob shop/old-report
          ~ Deployment shop/web
            @@ -10,3 +10,3 @@
                   - name: web
            -        image: shop/web:2.0
            +        image: shop/web:2.1
    + shop/db: postgres 12.1.0, app 16.2, revision 2, carries 2 revisions
      hooks that run:
        pre-install Job shop/db-init
      manifest:
          + StatefulSet shop/db
    = shop/cache: redis 19.0.0, app 7.2, revision 1

Namespace (v1): 1 kept
    ! shop
      Its labels differ, and stay as they are.
      @@ -2,2 +2,2 @@
       labels:
      -  tier: gold
      +  tier: silver

ConfigMap (v1): 1 to create, 1 to update, 1 to delete, 40 unchanged
    - shop/leftover
      A former import brought it, and the snapshot has it no more.
    ~ shop/settings
      takes over from kubectl-client-side-apply: data.greeting
      @@ -1,4 +1,4 @@
       apiVersion: v1
       data:
      -  greeting: hello
      +  greeting: good day
       kind: ConfigMap
    + shop/a-new-one

Service (v1): 1 to recreate
  -/+ shop/web
      The server refuses a change of spec.clusterIP.
      @@ -5,2 +5,2 @@
       spec:
      -  clusterIP: None
      +  clusterIP: 10.96.0.17

Unchanged
    = Secret (v1): 7

Problem 1 of 2: a class that does not exist
  StorageClass fast does not exist.
  It is used by: PersistentVolumeClaim shop/data
  Hint: Create it, or map it with \`storage-class-map\`.

Problem 2 of 2: not allowed to this user
  User deployer may not create services in shop.

Plan: 2 to create, 2 to update, 1 to recreate, 1 to delete, 48 unchanged, 1 kept.
plan-id: 26-01-31_12-30-00-0123456789abcdef0123456789abcdef
`);
});

it('says that nothing would change', () => {
  expect(
    renderPlanText(nothingPlanned, plain),
  ).toBe(`No changes: prod already has what 26-01-31_12-00-00 of stage would bring
  Snapshot  26-01-31_12-00-00
  Location  s3://backups/26-01-31_12-00-00.tar.zst
  Digest    sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
  From      stage
  Into      prod (https://prod.example.com:6443)
  Computed  2026-01-31T12:30:00Z

Releases
    = shop/db: postgres 12.1.0, app 16.2, revision 2

Unchanged
    = ConfigMap (v1): 12

Plan: 0 to create, 0 to update, 0 to recreate, 0 to delete, 13 unchanged, 0 kept.
plan-id: 26-01-31_12-30-00-0123456789abcdef0123456789abcdef
`);
});

describe('colours', () => {
  const lines = renderPlanText(stopped, named).split('\n');

  it.each([
    ['what is new', '<green>    + shop/a-new-one</green>'],
    ['what is updated', '<yellow>    ~ shop/settings</yellow>'],
    ['what is deleted', '<red>    - shop/leftover</red>'],
    ['what is recreated', '<red>  -/+ shop/web</red>'],
    ['what stays different', '<yellow>    ! shop</yellow>'],
    ['what is unchanged', '<dim>    = shop/cache: redis 19.0.0, app 7.2, revision 1</dim>'],
    ['added lines', '      <green>+  greeting: good day</green>'],
    ['removed lines', '      <red>-  greeting: hello</red>'],
    ['where in the object a change is', '      <dim>@@ -1,4 +1,4 @@</dim>'],
    ['fields that are taken over', '      <yellow>takes over from kubectl-client-side-apply: data.greeting</yellow>'],
    ['problems', '<red>Problem 1 of 2: a class that does not exist</red>'],
    ['what a problem is', '  <red>StorageClass fast does not exist.</red>'],
  ])('tell %s', (_, line) => {
    expect(lines).toContain(line);
  });

  it('make the heading red where an import would fail, and bold where not', () => {
    expect(lines[0]).toMatch(/^<red>An import of .* would fail: 2 problems<\/red>$/);
    expect(renderPlanText(nothingPlanned, named)).toMatch(/^<bold>No changes: /);
  });
});

describe('many objects', () => {
  it('of a kind with more than 200 changes only the names are shown', () => {
    const shown = renderPlanText(largePlan(500), plain);
    expect(shown.match(/^ {4}[-+~] ns-\d+\/object-\d{6}$/gm)).toHaveLength(500);
    expect(shown).not.toContain('@@');
  });

  it('of a kind with more than 1000 changes the rest is counted', () => {
    const shown = renderPlanText(largePlan(3000), plain);
    expect(shown.match(/object-/g)).toHaveLength(2000);
    expect(shown.match(/… and 500 more: 500 to create$/gm)).toHaveLength(2);
  });

  it('are all shown with their differences when that is asked for', () => {
    const shown = renderPlanText(largePlan(3000), plain, { full: true });
    expect(shown.match(/object-/g)).toHaveLength(3000);
    expect(shown.match(/@@ -1 \+1 @@/g)).toHaveLength(1000);
  });

  it('are shown as what is counted even where none is named', () => {
    expect(renderPlanText(plan({ kinds: [plannedKind({ create: 2 })] }), plain)).toContain(
      '\nConfigMap (v1): 2 to create\n',
    );
  });
});

describe('long differences', () => {
  const diff = `@@ -1,500 +1,500 @@\n${' line\n'.repeat(500)}`;
  const changed = plan({ objects: [plannedObject({ change: 'update', diff })] });

  it('are cut, and say by how much', () => {
    const shown = renderPlanText(changed, plain);
    expect(shown.match(/^ {7}line$/gm)).toHaveLength(399);
    expect(shown).toContain('\n      … 101 lines more\n');
    expect(renderPlanText(changed, plain, { maxLines: 500 })).toContain('\n      … 1 line more\n');
  });

  it('are whole when that is asked for', () => {
    expect(renderPlanText(changed, plain, { full: true }).match(/^ {7}line$/gm)).toHaveLength(500);
  });
});

it('lets no text of the plan act on the terminal, nor show as other than it is', () => {
  const shown = renderPlanText(hostilePlan(), plain, { full: true });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must be gone
  expect(shown.match(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g)).toBeNull();
  expect(shown).toContain('\\u202egnp.exe\\u2066');
});

it('leaves out the names of files that a diff may start with', () => {
  const diff = '--- before\n+++ after\n@@ -1 +1 @@\n--- a\n+++ b\n';
  expect(renderPlanText(plan({ objects: [plannedObject({ change: 'update', diff })] }), plain)).toContain(
    '    ~ shop/settings\n      @@ -1 +1 @@\n      --- a\n      +++ b\n',
  );
});

it('names the fields that are taken over, up to ten a manager', () => {
  const fields = Array.from({ length: 12 }, (_, index) => `data.f${index}`);
  const conflicts = [{ manager: 'helm', fields }];
  expect(renderPlanText(plan({ objects: [plannedObject({ change: 'update', conflicts })] }), plain)).toContain(
    'takes over from helm: data.f0, data.f1, data.f2, data.f3, data.f4, data.f5, data.f6, data.f7, data.f8, data.f9 and 2 fields more\n',
  );
});
