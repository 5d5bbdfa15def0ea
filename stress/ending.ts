/** Ends the process once all that was said has left it: an exit drops what a pipe has not taken yet. */
export function endWith(code: number): void {
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}
