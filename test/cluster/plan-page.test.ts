import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Plan } from '../../src/plan/plan.ts';
import { renderPlanHtml } from '../../src/plan/render-html.ts';
import { hostilePlan, largePlan, stopped } from '../helpers/plans.ts';
import { startBrowser } from './browser.ts';

/** The page of a plan, in a real browser. */
let browser: Awaited<ReturnType<typeof startBrowser>>;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transship-page-'));
  browser = await startBrowser();
});

afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

interface Opened {
  readonly page: Page;
  /** What the console, the policy or a script complained of. */
  readonly complaints: string[];
  /** What the page asked for besides itself. */
  readonly requests: string[];
}

async function open(plan: Plan, use: (opened: Opened) => Promise<void>, scripts = true): Promise<void> {
  const file = join(folder, 'plan.html');
  await writeFile(file, renderPlanHtml(plan));
  const url = pathToFileURL(file).href;
  const page = await browser.browser.newPage();
  try {
    const complaints: string[] = [];
    const requests: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('dialog', (dialog) => void dialog.dismiss().then(() => complaints.push(dialog.message())));
    await page.setRequestInterception(true);
    page.on('request', (request) => {
      if (request.url() === url) return void request.continue();
      requests.push(request.url());
      return void request.abort();
    });
    await page.setJavaScriptEnabled(scripts);
    await page.setViewport({ width: 1000, height: 800 });
    await page.goto(url, { timeout: 15_000 });
    await use({ page, complaints, requests });
  } finally {
    await page.close();
  }
}

const shownIn = (page: Page) => page.$eval('#shown', (element) => element.textContent);

// Scripts for the page are texts here: the types of a browser would be those of every other file too.

/** Waits until the page says so: the filter runs a moment after the last key. */
async function waitForShown(page: Page, text: string): Promise<void> {
  await page.waitForFunction(`document.getElementById('shown').textContent === ${JSON.stringify(text)}`, {
    timeout: 5000,
  });
}

const visibleRows = (page: Page) =>
  page.$$eval('#content > section > .rows > .row', (rows) =>
    rows.filter((row) => row.checkVisibility()).map((row) => row.querySelector('.s')?.textContent),
  );

it('is drawn without a complaint, and asks for nothing', async () => {
  await open(stopped, async ({ page, complaints, requests }) => {
    expect(await page.title()).toBe('Plan: 26-01-31_12-00-00 into prod');
    expect(await shownIn(page)).toBe('8 of 8 shown');
    expect(await page.$eval('.problem', (element) => element.getBoundingClientRect().height)).toBeGreaterThan(40);
    // The policy lets the style through.
    expect(await page.evaluate("getComputedStyle(document.querySelector('.problem strong')).color")).toBe(
      'rgb(207, 34, 46)',
    );
    expect(await coloursOf(page)).toBeGreaterThan(20);
    expect(complaints).toEqual([]);
    expect(requests).toEqual([]);
  });
});

it('is dark where the reader likes it so', async () => {
  await open(stopped, async ({ page }) => {
    const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(await ground()).toBe('rgb(255, 255, 255)');
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
    expect(await ground()).toBe('rgb(13, 17, 23)');
  });
});

it('finds objects by text, kind, namespace and change, all by keyboard', async () => {
  await open(stopped, async ({ page }) => {
    await page.keyboard.press('/');
    await page.keyboard.type('shop web');
    await waitForShown(page, '2 of 8 shown');
    // The release is found by the object that is in it.
    expect(await visibleRows(page)).toEqual([expect.stringMatching(/^~shop\/shop: /), '-/+Service shop/web']);
    await page.click('[type=reset]');
    await waitForShown(page, '8 of 8 shown');
    await page.select('[name=kind]', 'ConfigMap');
    await page.focus('[name=change][value=update]');
    await page.keyboard.press('Space');
    await waitForShown(page, '1 of 8 shown');
    expect(await visibleRows(page)).toEqual(['~ConfigMap shop/settings']);
    await page.click('[type=reset]');
    await page.select('[name=namespace]', 'shop');
    await waitForShown(page, '7 of 8 shown');
  });
});

it('opens a difference with a key, and all of them with a button', async () => {
  await open(stopped, async ({ page }) => {
    const difference = await page.waitForSelector('details[data-k=ConfigMap][data-c=update]');
    const seen = () => difference?.$eval('pre ins', (element) => element.checkVisibility());
    expect(await seen()).toBe(false);
    await page.focus('details[data-k=ConfigMap][data-c=update] > summary');
    await page.keyboard.press('Enter');
    expect(await seen()).toBe(true);
    expect(await difference?.$eval('pre ins', (element) => element.textContent)).toBe('+  greeting: good day\n');
    await page.click('#open');
    expect(await page.$$('#content details:not([open])')).toHaveLength(0);
    await page.click('#close');
    expect(await page.$$('#content details[open]')).toHaveLength(0);
  });
});

it('reads without scripts too', async () => {
  await open(
    stopped,
    async ({ page }) => {
      expect(await visibleRows(page)).toHaveLength(8);
      expect(await page.$eval('#filter', (element) => element.checkVisibility())).toBe(false);
    },
    false,
  );
});

describe('a plan whose texts are an attack', () => {
  it('runs nothing, asks for nothing and shows every text as it is', async () => {
    await open(hostilePlan(), async ({ page, complaints, requests }) => {
      await page.click('#open');
      await page.select('[name=kind]', '<script>window.hacked = 1</script>');
      await waitForShown(page, '1 of 22 shown');
      expect(await page.evaluate("'hacked' in window")).toBe(false);
      expect(await page.$$eval('script', (found) => found.length)).toBe(1);
      expect(
        await page.$$eval(
          'img, iframe, a, object, embed, base, [onload], [onerror], [onmouseover]',
          (found) => found.length,
        ),
      ).toBe(0);
      expect(await visibleRows(page)).toEqual([
        '~<script>window.hacked = 1</script> <script>window.hacked = 1</script>/<script>window.hacked = 1</script>',
      ]);
      expect(complaints).toEqual([]);
      expect(requests).toEqual([]);
    });
  });

  it('would be stopped by the policy even where an escape were forgotten', async () => {
    await open(stopped, async ({ page, complaints }) => {
      await page.evaluate(`
        const place = document.createElement('div');
        place.innerHTML = '<img src="https://example.com/x.png" onerror="window.hacked = 1">';
        const script = document.createElement('script');
        script.textContent = 'window.hacked = 2';
        document.body.append(place, script);
      `);
      expect(await page.evaluate("'hacked' in window")).toBe(false);
      expect(complaints.join('\n')).toMatch(/script-src|Content Security Policy/);
    });
  });
});

it('opens with 5,000 objects within seconds, and finds one of them', async () => {
  const lines = Array.from({ length: 20 }, (_, index) => ` key-${index}: value\n-old-${index}: 1\n+new-${index}: 2\n`);
  const large = largePlan(5000, `@@ -1,60 +1,60 @@\n${lines.join('')}`);
  await open(large, async ({ page, complaints }) => {
    expect(await shownIn(page)).toBe('5000 of 5000 shown');
    const duration = await page.evaluate("performance.getEntriesByType('navigation')[0].duration");
    expect(duration).toBeLessThan(8000);
    await page.type('[type=search]', 'object-004321');
    await waitForShown(page, '1 of 5000 shown');
    expect(complaints).toEqual([]);
  });
});

/** How many different colours a screenshot has: a blank one has one. */
async function coloursOf(page: Page): Promise<unknown> {
  const shot = await page.screenshot({ encoding: 'base64' });
  // Another page decodes it: the policy of this one lets it load no picture.
  const blank = await browser.browser.newPage();
  try {
    return await blank.evaluate(`(async () => {
      const image = new Image();
      image.src = 'data:image/png;base64,${shot}';
      await image.decode();
      const canvas = new OffscreenCanvas(image.width, image.height);
      const context = canvas.getContext('2d');
      context.drawImage(image, 0, 0);
      return new Set(new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer)).size;
    })()`);
  } finally {
    await blank.close();
  }
}
