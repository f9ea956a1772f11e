/// <reference path="./assets.d.ts" />
// GET /openapi: Swagger UI over the OpenAPI document, with nothing loaded from elsewhere.

import { Elysia } from "elysia";
import stylePath from "swagger-ui-dist/swagger-ui.css" with { type: "file" };
import scriptPath from "swagger-ui-dist/swagger-ui-bundle.js" with { type: "file" };
import { needs } from "../../guard/index.ts";

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>microview agent</title>
<link rel="stylesheet" href="/openapi/assets/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="/openapi/assets/swagger-ui-bundle.js"></script>
<script src="/openapi/assets/start.js"></script>
</body>
</html>
`;

const START = `SwaggerUIBundle({ url: "/openapi/json", dom_id: "#ui", validatorUrl: null, deepLinking: true });`;

/** The page holds nothing but its own files, and says so to the browser. */
const POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

export function docsPage() {
  const serve = (body: string | Bun.BunFile, type: string) =>
    new Response(body, { headers: { "content-type": type, "content-security-policy": POLICY } });
  const hidden = { detail: { hide: true, ...needs("known") } };
  return new Elysia()
    .get("/openapi", () => serve(PAGE, "text/html; charset=utf-8"), hidden)
    .get("/openapi/assets/swagger-ui.css", () => serve(Bun.file(stylePath), "text/css"), hidden)
    .get(
      "/openapi/assets/swagger-ui-bundle.js",
      () => serve(Bun.file(scriptPath), "text/javascript"),
      hidden,
    )
    .get("/openapi/assets/start.js", () => serve(START, "text/javascript"), hidden);
}
