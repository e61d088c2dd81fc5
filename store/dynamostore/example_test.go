package dynamostore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/seed-0226adef/memo/store"
	"github.com/seed-0226adef/memo/store/dynamostore"
)

func ExampleNew() {
	// Most programs have an aws.Config to make a client from: dynamodb.NewFromConfig.
	client := dynamodb.New(dynamodb.Options{
		Region:      "eu-central-1",
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		// A cache does better to give up than to wait.
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = 2
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) {
				return 20 * time.Millisecond, nil
			})
		}),
	})
	s := dynamostore.New(client, "cache", nil)

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	token := store.NewToken()
	if err := s.Set(ctx, "users:42", append(token[:], "Ada"...), time.Minute); err != nil {
		log.Fatal(err)
	}
}

func ExampleCreateTable() {
	client := dynamodb.New(dynamodb.Options{Region: "eu-central-1"})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := dynamostore.CreateTable(ctx, client, "cache", nil); err != nil {
		log.Fatal(err)
	}
}

// A table that other programs know under other names.
func ExampleOptions() {
	client := dynamodb.New(dynamodb.Options{Region: "eu-central-1"})
	s := dynamostore.New(client, "sessions", &dynamostore.Options{KeyAttribute: "pk", TTLAttribute: "deleteAt"})
	_ = s
}

func ExampleStore_Set_refused() {
	client := dynamodb.New(dynamodb.Options{Region: "eu-central-1"})
	s := dynamostore.New(client, "cache", nil)

	// Limits are checked before anything is sent.
	err := s.Set(context.Background(), strings.Repeat("k", 3000), make([]byte, 100), time.Minute)
	fmt.Println(err)
	fmt.Println(errors.Is(err, store.ErrRefused))
	// Output:
	// memo: store: refused: the key is 3000 bytes long, and DynamoDB takes 2048
	// true
}
