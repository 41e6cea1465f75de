import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { TransshipError } from '../../../src/errors.ts';
import { createFilter, findKinds, isReleasePattern, type KindNames } from '../../../src/resources/selection.ts';

const KINDS: readonly KindNames[] = [
  kind('', 'ConfigMap', 'configmaps', ['cm']),
  kind('', 'Namespace', 'namespaces', ['ns'], false),
  kind('', 'Pod', 'pods', ['po']),
  kind('', 'Secret', 'secrets'),
  kind('', 'Service', 'services', ['svc']),
  kind('admissionregistration.k8s.io', 'ValidatingWebhookConfiguration', 'validatingwebhookconfigurations', [], false),
  kind('apps', 'Deployment', 'deployments', ['deploy']),
  kind('rbac.authorization.k8s.io', 'ClusterRole', 'clusterroles', [], false),
  kind('rbac.authorization.k8s.io', 'Role', 'roles'),
  kind('cert-manager.io', 'Certificate', 'certificates', ['cert']),
  kind('acme.cert-manager.io', 'Order', 'orders'),
  kind('serving.knative.dev', 'Service', 'services', ['ksvc']),
];

function kind(group: string, name: string, plural: string, shortNames: string[] = [], namespaced = true): KindNames {
  return { group, kind: name, plural, singular: name.toLowerCase(), shortNames, namespaced };
}

function filter(exclude: readonly string[], { alsoReleases = false, selector }: Choice = {}) {
  return createFilter({ selector, exclude, kinds: KINDS, alsoReleases, where: 'the cluster stage' });
}
interface Choice {
  alsoReleases?: boolean;
  selector?: string;
}

/** `deployments.apps shop/web`, `namespaces shop`: the objects of a list that are taken. */
function taken(exclude: readonly string[], objects: readonly string[], choice?: Choice): string[] {
  const chosen = filter(exclude, choice);
  return objects.filter((text) => chosen.takes(...parse(text)));
}

function parse(text: string, labels?: Record<string, string>): [KubeObject, string] {
  const [, plural = '', group = '', namespace = '', name = ''] = /^(\w+)\.?(\S*) (?:(\S+)\/)?(\S+)$/.exec(text) ?? [];
  const { kind: kindName = '' } = KINDS.find((one) => one.plural === plural && one.group === group) ?? {};
  return [
    {
      apiVersion: group === '' ? 'v1' : `${group}/v1`,
      kind: kindName,
      metadata: { name, ...(namespace && { namespace }), ...(labels && { labels }) },
    },
    plural,
  ];
}

function failure(run: () => unknown): { code: string; message: string; hint: string | undefined } {
  try {
    run();
  } catch (error) {
    if (error instanceof TransshipError) return { code: error.code, message: error.message, hint: error.hint };
  }
  throw new Error('It was accepted.');
}

const WEB = 'deployments.apps shop/web';
const API = 'deployments.apps shop/api';
const OTHER_WEB = 'deployments.apps billing/web';
const SERVICE = 'services shop/web';
const KNATIVE_SERVICE = 'services.serving.knative.dev shop/web';
const ROLE = 'clusterroles.rbac.authorization.k8s.io web';
const ALL = [WEB, API, OTHER_WEB, SERVICE, KNATIVE_SERVICE, ROLE];

describe('a pattern that leaves objects out', () => {
  test.each([
    ['deployments', [SERVICE, KNATIVE_SERVICE, ROLE]],
    ['deployment', [SERVICE, KNATIVE_SERVICE, ROLE]],
    ['Deployment', [SERVICE, KNATIVE_SERVICE, ROLE]],
    ['deploy', [SERVICE, KNATIVE_SERVICE, ROLE]],
    ['DEPLOY.APPS', [SERVICE, KNATIVE_SERVICE, ROLE]],
    ['deployments.apps', [SERVICE, KNATIVE_SERVICE, ROLE]],
    ['deployments/web', [API, SERVICE, KNATIVE_SERVICE, ROLE]],
    ['deploy/w*', [API, SERVICE, KNATIVE_SERVICE, ROLE]],
    ['deploy/*', [SERVICE, KNATIVE_SERVICE, ROLE]],
    ['shop/deployments/web', [API, OTHER_WEB, SERVICE, KNATIVE_SERVICE, ROLE]],
    ['shop/deploy*/*', [OTHER_WEB, SERVICE, KNATIVE_SERVICE, ROLE]],
    ['*/*/web', [API, ROLE]],
    ['*/web', [API]],
    ['shop/*/web', [API, OTHER_WEB, ROLE]],
    ['b?lling/*/*', [WEB, API, SERVICE, KNATIVE_SERVICE, ROLE]],
    ['*.knative.dev', [WEB, API, OTHER_WEB, SERVICE, ROLE]],
    ['services', [WEB, API, OTHER_WEB, ROLE]],
    ['services.serving.knative.dev', [WEB, API, OTHER_WEB, SERVICE, ROLE]],
    ['clusterroles/web', [WEB, API, OTHER_WEB, SERVICE, KNATIVE_SERVICE]],
    ['*', []],
  ])('%s', (pattern, expected) => {
    expect(taken([pattern], ALL)).toEqual(expected);
  });

  test('matches names as they are written, for roles may have capitals', () => {
    expect(taken(['clusterroles/Web'], [ROLE])).toEqual([ROLE]);
  });

  test('takes colons in the names of roles', () => {
    expect(taken(['clusterroles/system:*'], ['clusterroles.rbac.authorization.k8s.io system:node', ROLE])).toEqual([
      ROLE,
    ]);
  });

  test('spares the LIST of a kind that is left out whole', () => {
    const { takesKind } = filter(['certificates', '*/orders/*', 'pods/*', 'secrets/a*', 'shop/cm/*']);
    const untaken = KINDS.filter((one) => !takesKind(one)).map(({ plural }) => plural);
    expect(untaken).toEqual(['pods', 'certificates', 'orders']);
  });
});

describe('a pattern that left nothing out', () => {
  test('is told when no object of its kind had that name', () => {
    const { takes, unused } = filter(['deployments/web', 'deployments/db', 'shop/*/api']);
    for (const object of ALL) takes(...parse(object));
    expect(unused()).toEqual(['deployments/db']);
  });

  test('is told when it has a namespace for a kind that has none', () => {
    const { takes, unused } = filter(['shop/clusterroles/web']);
    expect([takes(...parse(ROLE)), unused()]).toEqual([true, ['shop/clusterroles/web']]);
  });

  test('is not told of a whole kind, whose objects were not even asked for', () => {
    expect(filter(['certificates']).unused()).toEqual([]);
  });

  test('is not told of a release pattern, which releases tell themselves', () => {
    expect(filter(['redis'], { alsoReleases: true }).unused()).toEqual([]);
  });
});

describe('where releases are chosen from too', () => {
  test.each([
    ['redis', true],
    ['redis-*', true],
    ['shop/redis', true],
    ['sh*p/redis', true],
    ['s*', true],
    ['redis.v2', true],
    ['secrets', false],
    ['Secret', false],
    ['svc/redis', false],
    ['*/redis', false],
    ['*', false],
    ['*.cert-manager.io', false],
    ['*.cert-manager.io/shop', false],
    ['shop/deployments/redis', false],
    ['shop/nothing/redis', false],
    ['a/b/c/d', false],
  ])('%s means a release: %s', (pattern, expected) => {
    expect(isReleasePattern(pattern, KINDS)).toBe(expected);
  });

  test('a pattern of releases leaves no objects out', () => {
    expect(taken(['s*', 'web', 'shop/web'], ALL, { alsoReleases: true })).toEqual(ALL);
  });

  test('a word that is a kind leaves the kind out', () => {
    expect(taken(['deploy'], ALL, { alsoReleases: true })).toEqual([SERVICE, KNATIVE_SERVICE, ROLE]);
  });

  test('three parts whose kind is unknown are an error all the same', () => {
    expect(failure(() => filter(['shop/deploymnets/web'], { alsoReleases: true }))).toMatchObject({
      message: 'exclude has "shop/deploymnets/web", but "deploymnets" is no kind of object in the cluster stage.',
    });
  });
});

describe('a pattern that can not be meant', () => {
  test('names the nearest kinds, and how to leave out by name', () => {
    expect(failure(() => filter(['deploymens/web']))).toEqual({
      code: 'INPUT',
      message: 'exclude has "deploymens/web", but "deploymens" is no kind of object in the cluster stage.',
      hint: 'Did you mean deployments? To leave out objects of any kind by name, write */web-*; in one namespace, shop/*/web-*.',
    });
  });

  test('is said of all of them at once', () => {
    expect(failure(() => filter(['pods', 'secretes', 'web-*']))).toMatchObject({
      message:
        'exclude has "secretes", which is no kind of object in the cluster stage. ' +
        'exclude has "web-*", which is no kind of object in the cluster stage.',
      hint: expect.stringContaining('Did you mean secrets? '),
    });
  });

  test('does not suggest a long kind for a few letters of it', () => {
    expect(failure(() => filter(['web'])).hint).toMatch(/^To leave out objects/);
  });

  test('names kinds with their groups where one was given', () => {
    expect(failure(() => filter(['certificate.cert-manger.io'])).hint).toContain(
      'Did you mean certificates.cert-manager.io? ',
    );
  });

  test.each(['', 'a//b', '/web', 'web/', 'a/b/c/d'])('has the wrong form: %j', (pattern) => {
    expect(failure(() => filter([pattern]))).toEqual({
      code: 'INPUT',
      message: `exclude has "${pattern}", which can't be read.`,
      hint: 'Write KIND, KIND/NAME or NAMESPACE/KIND/NAME. * and ? may stand in each part.',
    });
  });
});

describe('what an object says of itself', () => {
  const labelled = (labels?: Record<string, string>) => parse(WEB, labels);

  test('the label transship.dev/exclude=true keeps it out', () => {
    expect(filter([]).takes(...labelled({ 'transship.dev/exclude': 'true' }))).toBe(false);
  });

  test('any other value of that label does not', () => {
    expect(filter([]).takes(...labelled({ 'transship.dev/exclude': 'false' }))).toBe(true);
  });

  test('the selector asks for its own labels', () => {
    const { takes } = filter([], { selector: 'team=shop' });
    expect([{ team: 'shop' }, { team: 'billing' }, undefined].map((labels) => takes(...labelled(labels)))).toEqual([
      true,
      false,
      false,
    ]);
  });

  test('what others need is excluded by name or its opt-out label, not by a selector', () => {
    const { excludes } = filter(['deploy/api'], { selector: 'team=shop' });
    expect(
      [parse(WEB), parse(API), labelled({ 'transship.dev/exclude': 'true' })].map((object) => excludes(...object)),
    ).toEqual([false, true, true]);
  });

  test('a selector that can not be read is an error', () => {
    expect(failure(() => filter([], { selector: 'team in' })).code).toBe('INPUT');
  });
});

describe('kinds by name', () => {
  test('all groups that share it are meant', () => {
    expect(findKinds('Services', KINDS, 'restore-status', 'the snapshot').map(({ group }) => group)).toEqual([
      '',
      'serving.knative.dev',
    ]);
  });

  test('a snapshot has no short names, but plurals, kinds and groups', () => {
    const kinds = [{ group: 'cert-manager.io', kind: 'Certificate', plural: 'certificates', namespaced: true }];
    const find = (name: string) => findKinds(name, kinds, 'restore-status', 'the snapshot');
    expect(['certificate', 'certificates.cert-manager.io', '*.cert-manager.io'].map(find)).toEqual([
      kinds,
      kinds,
      kinds,
    ]);
  });

  test('an unknown one is an error that names the nearest', () => {
    expect(failure(() => findKinds('certificats', KINDS, 'restore-status', 'the snapshot'))).toEqual({
      code: 'INPUT',
      message: 'restore-status has "certificats", which is no kind of object in the snapshot.',
      hint: 'Did you mean certificates? Write a kind, with its group where several have it, such as deployments or deployments.apps.',
    });
  });
});
