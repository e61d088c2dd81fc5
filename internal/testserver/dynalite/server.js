// Serves DynamoDB from memory on a free port of the loopback interface, and prints
// the port. Ends when stdin does, which is when the test that started it has died.
const dynalite = require('dynalite')

const server = dynalite({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 })
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
