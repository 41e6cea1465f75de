import { describe, expect, it } from 'vitest';
import { hostOf, readLinks } from '../../../src/vms/links.ts';
import { readyStatus } from './fake-kubevirt.ts';

describe('links of an export', () => {
  it('has the URLs of each volume by format, and the authority', () => {
    const links = readLinks(readyStatus().links.internal);
    expect(links).toEqual({
      ca: 'CA-1',
      volumes: [
        {
          name: 'disk',
          formats: {
            raw: 'https://virt-export-x.shop.svc/volumes/disk/disk.img',
            gzip: 'https://virt-export-x.shop.svc/volumes/disk/disk.img.gz',
          },
        },
      ],
    });
  });

  it('trusts the system where the certificate is empty, as that of a public Ingress is', () => {
    expect(readLinks(readyStatus({ external: true }).links.external)?.ca).toBeUndefined();
  });

  it('leaves out formats it does not know, and volumes that have no other', () => {
    const volumes = [
      {
        name: 'a',
        formats: [
          { format: 'dir', url: 'https://x/a/dir/' },
          { format: 'qcow2', url: 'https://x/a.qcow2' },
        ],
      },
      { name: 'b', formats: [{ format: 'qcow2', url: 'https://x/b.qcow2' }] },
      { name: 'c' },
    ];
    expect(readLinks({ cert: 'CA', volumes })?.volumes).toEqual([{ name: 'a', formats: { dir: 'https://x/a/dir/' } }]);
  });

  it.each([undefined, null, {}, { cert: 'CA' }, { cert: 'CA', volumes: [] }])('is none in %j', (link) => {
    expect(readLinks(link)).toBeUndefined();
  });

  it('knows the host that the certificate of a service is for', () => {
    const links = readLinks(readyStatus().links.internal);
    expect(links && hostOf(links)).toBe('virt-export-x.shop.svc');
  });
});
