/**
 * Preloaded into a gateway (`--import`): each run of a tool is one line of the file TOOL_WITNESS, written before it
 * runs: `<process id> <call id>`.
 */
import { appendFileSync } from 'node:fs';
import { CurrentTimeTool } from '../../dist/agents/tools/current-time.tool.js';

const { execute } = CurrentTimeTool.prototype;
CurrentTimeTool.prototype.execute = function (input, context) {
  appendFileSync(process.env.TOOL_WITNESS, `${process.pid} ${context.toolCallId}\n`);
  return execute.call(this, input, context);
};
