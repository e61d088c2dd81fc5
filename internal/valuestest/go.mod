module github.com/seed-0226adef/memo/internal/valuestest

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/google/uuid v1.6.0
	github.com/jackc/pgx/v5 v5.12.0
	github.com/seed-0226adef/memo v0.0.0
	github.com/seed-0226adef/memo/contrib/proto v0.0.0
	github.com/shopspring/decimal v1.4.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/sony/gobreaker/v2 v2.4.0 // indirect
	github.com/vmihailenco/msgpack/v5 v5.4.1 // indirect
	github.com/vmihailenco/tagparser/v2 v2.0.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sync v0.23.0 // indirect
)

replace (
	github.com/seed-0226adef/memo => ../..
	github.com/seed-0226adef/memo/contrib/proto => ../../contrib/proto
)
