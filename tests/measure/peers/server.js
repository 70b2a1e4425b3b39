// node tests/measure/peers/server.js PORT: serves a page from memory, and closes the server on SIGTERM as the manual
// says. Started in the project's folder.
const page = require("fs").readFileSync("common/html/hello.html");
const server = require("http").createServer((request, response) => {
  response.writeHead(200, { "Content-Type": "text/html", "Content-Length": page.length, Connection: "close" });
  response.end(page);
});
process.on("SIGTERM", () => server.close());
server.listen(Number(process.argv[2]), "127.0.0.1");
