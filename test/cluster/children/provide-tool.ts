/** Started by tests, several at once or to be killed: provides the tool `greet` of the module folder it is given. */
import { stderrReporter } from '../stderr-reporter.ts';
import { provideTools } from '../tools.ts';
import { GREET } from './greet.ts';

const [, , modules = ''] = process.argv;
const paths = await provideTools(
  ['greet'],
  { greet: GREET },
  { modules, env: process.env, reporter: stderrReporter() },
);
process.stdout.write(paths.greet);
