#!/usr/bin/env node
// One bundle serves both doors. This file only chooses: everything else is loaded by the door that needs it.
import { chooseDoor } from './choose-door.ts';

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
