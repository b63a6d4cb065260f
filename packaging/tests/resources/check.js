// Judges objects of kinds that Kubernetes itself does not have: those of cert-manager, the Gateway API and Istio. Their packages
// hold validators and types made of the published definitions. Unlike a cluster, the types refuse unknown fields, too.
//
//   node check.js OBJECTS.json      prints what is wrong, a line each, and ends with status 1 then
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const packages = {
  "cert-manager.io": "cert-manager",
  "gateway.networking.k8s.io": "gateway-api",
  "networking.istio.io": "istio",
  "security.istio.io": "istio",
};

// The validator knows the filters of the standard channel only: ExternalAuth is of the experimental one. The types know it.
const standard = (object) =>
  JSON.parse(JSON.stringify(object).replaceAll('"type":"ExternalAuth"', '"type":"RequestHeaderModifier"'));

const objects = JSON.parse(readFileSync(process.argv[2], "utf8"));
const wrong = [];
let source = "";
for (const [index, object] of objects.entries()) {
  const group = object.apiVersion.split("/")[0];
  if (!(group in packages)) {
    wrong.push(`${object.apiVersion} ${object.kind}: no package describes it`);
    continue;
  }
  const path = `@kubernetes-models/${packages[group]}/${object.apiVersion}/${object.kind}`;
  const model = await import(path);
  try {
    new model[object.kind](standard(object)).validate();
  } catch (error) {
    wrong.push(`${object.kind} ${object.metadata.name}: ${error.message}`);
  }
  source += `import type { I${object.kind} as T${index} } from ${JSON.stringify(path)};\n`;
  source += `export const object${index}: T${index} = ${JSON.stringify(object)};\n`;
}

const name = fileURLToPath(new URL("objects.ts", import.meta.url));
const options = {
  module: ts.ModuleKind.NodeNext,
  noEmit: true,
  skipLibCheck: true,
  strict: true,
  target: ts.ScriptTarget.ES2022,
  types: [],
};
const host = ts.createCompilerHost(options);
const { fileExists, getSourceFile, readFile } = host;
host.fileExists = (path) => path === name || fileExists.call(host, path);
host.readFile = (path) => (path === name ? source : readFile.call(host, path));
host.getSourceFile = (path, ...others) =>
  path === name ? ts.createSourceFile(path, source, others[0], true) : getSourceFile.call(host, path, ...others);
const program = ts.createProgram([name], options, host);
for (const finding of ts.getPreEmitDiagnostics(program)) {
  wrong.push(ts.flattenDiagnosticMessageText(finding.messageText, " "));
}
for (const line of wrong) console.log(line);
process.exit(wrong.length > 0 ? 1 : 0);
