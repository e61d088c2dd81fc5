// Runs the suite against a cache and prints one JSON object for each test:
//
//   node client.mjs http://127.0.0.1:8080 [id...]
//
// With ids it runs only those tests. Tests for browsers are left out.
import fetch from 'node-fetch'
import suites from 'http-cache-tests/tests/index.mjs'
import { getResults, runTests } from 'http-cache-tests/client/runner.mjs'

const [base, ...ids] = process.argv.slice(2)
const tests = suites.flatMap(suite => suite.tests)
  .filter(test => !test.browser_only && (ids.length === 0 || ids.includes(test.id)))

await runTests([{ tests }], fetch, false, base)

const results = getResults()
for (const { id, kind = 'required' } of tests) {
  const passed = results[id] === true
  console.log(JSON.stringify({ id, kind, passed, why: passed ? '' : results[id].join(': ') }))
}
