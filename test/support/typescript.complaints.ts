import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const MODULE = fileURLToPath(new URL('../manifests.ts', import.meta.url));

/** What the compiler says of a module, as if it were among the tests. */
export function complaintsOf(source: string): string[] {
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const readSource = host.getSourceFile.bind(host);
  host.getSourceFile = (name, ...rest) =>
    name === MODULE ? ts.createSourceFile(name, source, ts.ScriptTarget.Latest) : readSource(name, ...rest);
  const exists = host.fileExists.bind(host);
  host.fileExists = (name) => name === MODULE || exists(name);
  return ts
    .getPreEmitDiagnostics(ts.createProgram([MODULE], options, host))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}
