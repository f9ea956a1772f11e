// `import path from "x.so" with { type: "file" }` gives the path of the file, inside the binary when compiled.
declare module "*.so" {
  const path: string;
  export default path;
}
