// The suite's origin on a free port of the loopback interface; prints its URL, and
// ends on SIGINT or when stdin does. (The suite's own server.mjs listens on every
// interface, on a port that has to be chosen before.)
import http from 'node:http'
import handleConfig from 'http-cache-tests/server/handle-config.mjs'
import handleState from 'http-cache-tests/server/handle-state.mjs'
import handleTest from 'http-cache-tests/server/handle-test.mjs'

const handlers = { config: handleConfig, state: handleState, test: handleTest }

console.log = console.error // the handlers print warnings

const server = http.createServer((request, response) => {
  const [kind, ...rest] = request.url.split('?')[0].split('/').slice(1)
  if (kind in handlers) {
    handlers[kind](rest, request, response)
  } else {
    response.writeHead(404).end()
  }
})
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${server.address().port}\n`)
})
process.stdin.resume().on('end', () => process.exit(0))
process.on('SIGINT', () => process.exit(0))
