#!/usr/bin/env node
// One bundle serves both doors. This file only chooses: everything else is loaded by the door that needs it.
import { chooseDoor, explainOldNode } from './choose-door.ts';

const tooOld = explainOldNode(process.versions.node);
if (tooOld !== undefined) {
  process.stderr.write(`${tooOld}\n`);
  process.exit(1);
}
switch (chooseDoor(process.argv.slice(2), process.env)) {
  case 'cli':
    await (await import('./cli.ts')).main();
    break;
  case 'action':
    await (await import('./action.ts')).main();
    break;
  case 'post':
    await (await import('./post.ts')).post();
    break;
}
