// Compiles the programs of the user's document, each for itself: types are left out, nothing else
// changes.

import { readFile, readdir, writeFile } from "node:fs/promises";

import ts from "typescript";

for (const name of await readdir("programs")) {
  if (!name.endsWith(".ts")) continue;
  const { outputText, diagnostics } = ts.transpileModule(await readFile(`programs/${name}`, "utf8"), {
    fileName: name,
    reportDiagnostics: true,
    compilerOptions: { module: ts.ModuleKind.ES2022, target: ts.ScriptTarget.ES2022 },
  });
  for (const { messageText } of diagnostics) {
    console.error(`${name}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`);
    process.exitCode = 1;
  }
  await writeFile(`programs/${name.replace(/ts$/, "js")}`, outputText);
}
