package storetest

import "fmt"

var deleteCases = []testCase{
	{
		name:     "present key",
		contract: "Delete must remove what is under the key",
		check: func(e *env) {
			_, value := newValue("")
			e.set("k", value, 0)
			e.set("stays", value, 0)
			e.delete("k")
			e.wantAbsent("k")
			e.want("stays", value)
		},
	},
	{
		name:     "absent key",
		contract: "Delete of an absent key must return nil",
		check: func(e *env) {
			_, value := newValue("")
			e.delete("absent")
			e.set("k", value, 0)
			e.delete("k")
			e.delete("k")
		},
	},
	{
		name:     "no keys",
		contract: "Delete without keys must return nil and remove nothing",
		check: func(e *env) {
			_, value := newValue("")
			e.set("k", value, 0)
			e.delete()
			e.want("k", value)
		},
	},
	{
		name:     "many keys",
		contract: "Delete must remove all of its keys, however many, absent and repeated ones among them",
		check: func(e *env) {
			_, value := newValue("")
			var keys []string
			for i := range 230 { // more than any server takes in one request: DynamoDB 25
				key := fmt.Sprintf("k%d", i)
				keys = append(keys, key)
				if i%5 > 0 {
					e.set(key, value, 0)
				}
			}
			keys = append(keys, "k1", "k1")
			e.set("stays", value, 0)
			e.delete(keys...)
			for _, key := range keys {
				e.wantAbsent(key)
			}
			e.want("stays", value)
		},
	},
}
