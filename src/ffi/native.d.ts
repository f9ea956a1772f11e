// `import text from "x.base64" with { type: "text" }` gives what is in the file, inside a bundle or binary too.
declare module "*.base64" {
  const text: string;
  export default text;
}
