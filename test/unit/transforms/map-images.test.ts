import { describe, expect, it } from 'vitest';
import { deployment, transformsOf } from './transform-objects.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

async function mapped(pair: [string, string], image: string): Promise<string> {
  const transforms = await transformsOf({ imageMap: { [pair[0]]: pair[1] } });
  const object = transforms.apply(deployment('web', { containers: [{ name: 'a', image }] }));
  return (
    (object.spec as { template: { spec: { containers: { image: string }[] } } }).template.spec.containers[0]?.image ??
    ''
  );
}

describe('an image map', () => {
  it.each([
    // A registry.
    ['registry.stage', 'registry.prod', 'registry.stage/a/b:1', 'registry.prod/a/b:1'],
    ['registry.stage', 'registry.prod', 'registry.stage.example/a:1', 'registry.stage.example/a:1'],
    ['registry.stage:5000', 'registry.prod/mirror', 'registry.stage:5000/a:1', 'registry.prod/mirror/a:1'],
    ['registry:5000/', 'registry.prod', 'registry:5000/a:1', 'registry.prod/a:1'],
    ['localhost:5000', 'registry.prod:443', 'localhost:5000/a', 'registry.prod:443/a'],
    ['registry.stage', 'registry.prod', `registry.stage/a@${DIGEST}`, `registry.prod/a@${DIGEST}`],
    // A repository, or all below one.
    ['registry.stage/shop', 'registry.prod/live', 'registry.stage/shop/web:1', 'registry.prod/live/web:1'],
    ['registry.stage/shop', 'registry.prod/live', 'registry.stage/shop:1', 'registry.prod/live:1'],
    ['registry.stage/shop', 'registry.prod/live', 'registry.stage/shopping:1', 'registry.stage/shopping:1'],
    ['registry.stage/shop/', 'registry.prod/live/', 'registry.stage/shop/web:1', 'registry.prod/live/web:1'],
    // Docker Hub.
    ['docker.io', 'registry.prod/hub', 'nginx', 'registry.prod/hub/library/nginx'],
    ['docker.io', 'registry.prod/hub', 'bitnami/redis:7', 'registry.prod/hub/bitnami/redis:7'],
    ['docker.io', 'registry.prod/hub', 'index.docker.io/nginx:1', 'registry.prod/hub/library/nginx:1'],
    ['nginx', 'registry.prod/nginx', 'docker.io/library/nginx:1.25', 'registry.prod/nginx:1.25'],
    ['nginx', 'registry.prod/nginx', 'nginx/nginx-ingress:3', 'nginx/nginx-ingress:3'],
    ['docker.io/nginx', 'registry.prod/nginx', 'nginx:1', 'registry.prod/nginx:1'],
    ['docker.io/bitnami', 'registry.prod/bitnami', 'bitnami/redis:7', 'registry.prod/bitnami/redis:7'],
    ['bitnami/redis', 'registry.prod/redis', 'docker.io/bitnami/redis:7', 'registry.prod/redis:7'],
    // A tag.
    ['nginx:1.25', 'nginx:1.27', 'nginx:1.25', 'nginx:1.27'],
    ['nginx:1.25', 'nginx:1.27', 'nginx:1.26', 'nginx:1.26'],
    ['node:20', 'node:22', 'docker.io/library/node:20', 'node:22'],
    ['nginx:latest', 'nginx:1.27', 'nginx', 'nginx:1.27'],
    ['a.b/c:1', 'd.e/f', 'a.b/c:1', 'd.e/f:1'],
    ['a.b/c', 'd.e/f:2', 'a.b/c:1', 'd.e/f:2'],
    ['a.b/c', 'd.e/f:2', 'a.b/c/d:1', 'a.b/c/d:1'],
    // A digest goes where its image goes, and not with another tag.
    ['a.b/c:1', 'd.e/f:1', `a.b/c:1@${DIGEST}`, `d.e/f:1@${DIGEST}`],
    ['a.b/c:1', 'd.e/f:2', `a.b/c:1@${DIGEST}`, 'd.e/f:2'],
    [`a.b/c@${DIGEST}`, 'd.e/f:2', `a.b/c:1@${DIGEST}`, 'd.e/f:2'],
  ])('%s → %s makes %s %s', async (from, to, image, expected) => {
    expect(await mapped([from, to], image)).toBe(expected);
  });

  it('takes the most exact of several, and each image once', async () => {
    const transforms = await transformsOf({
      imageMap: { 'a.b': 'c.d', 'a.b/x': 'e.f/x', 'a.b/x:1': 'g.h/x:1', 'c.d': 'i.j' },
    });
    const images = ['a.b/y:1', 'a.b/x:2', 'a.b/x:1', 'c.d/z'];
    const { spec } = transforms.apply(deployment('web', { containers: images.map((image) => ({ image })) }));
    expect(spec).toMatchObject({
      template: { spec: { containers: ['c.d/y:1', 'e.f/x:2', 'g.h/x:1', 'i.j/z'].map((image) => ({ image })) } },
    });
  });

  it('finds images in every list of containers and in volumes, also of custom resources', async () => {
    const transforms = await transformsOf({ imageMap: { 'a.b': 'c.d' } });
    const pod = (registry: string) => ({
      initContainers: [{ image: `${registry}/1` }],
      containers: [{ image: `${registry}/2`, env: [{ name: 'IMAGE', value: 'a.b/x' }] }],
      ephemeralContainers: [{ image: `${registry}/3` }],
      volumes: [{ image: { reference: `${registry}/4` } }, { containerDisk: { image: `${registry}/5` } }],
    });
    const custom = (registry: string) => ({
      apiVersion: 'example.com/v1',
      kind: 'Engine',
      metadata: { name: 'e' },
      spec: { image: 'a.b/stays', jobs: [{ template: { spec: pod(registry) } }] },
    });
    expect(transforms.apply(custom('a.b'))).toEqual(custom('c.d'));
  });

  it('leaves what is no image', async () => {
    expect(await mapped(['a.b', 'c.d'], '{{ .Values.image }}')).toBe('{{ .Values.image }}');
  });
});
