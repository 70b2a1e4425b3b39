// node server.js PORT SLEEP_MS [WAY...]: Node's http, as it comes. Ways: graceful, it closes on a signal; v6, it listens
// where Node listens unless told otherwise, on [::].
const [port, sleep, ...ways] = process.argv.slice(2);
const page = (path) => (path === "/" || path === "/sleep" ? [200, "<h1>Hello!</h1>"] : [404, "<h1>Oops!</h1>"]);
const server = require("http").createServer((request, response) => {
  const [status, body] = page(request.url);
  const answer = () => response.writeHead(status, { "Content-Length": body.length }).end(body);
  request.url === "/sleep" ? setTimeout(answer, Number(sleep)) : answer();
});
if (ways.includes("graceful")) {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => server.close());
}
ways.includes("v6") ? server.listen(Number(port)) : server.listen(Number(port), "127.0.0.1");
