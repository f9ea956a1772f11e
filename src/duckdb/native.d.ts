// `import path from "x.zst" with { type: "file" }` gives the path of the file, inside the binary when compiled.
declare module "*.zst" {
  const path: string;
  export default path;
}
