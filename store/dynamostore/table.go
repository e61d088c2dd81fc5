package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// CreateTable makes sure that table can hold a [Store] with the Options o, and
// returns when it can be used. It is meant for tests, demonstrations and small
// deployments; elsewhere a table is described beside the rest of the
// infrastructure.
//
//   - A table that does not exist is created, billed per request. CreateTable
//     waits until it is active, which takes seconds, for as long as ctx allows.
//   - A table that exists stays as it is, but for its Time to Live. A key that is
//     not o's, or a Time to Live on another attribute, is an error that names it.
//   - Time to Live is enabled on o's attribute. Emulators that do not know the
//     operation are forgiven: expired items then stay until they are overwritten or
//     deleted, and are absent for every method all the same.
//
// Calling it again, or from many processes at once, is safe. It needs the
// permissions DescribeTable, CreateTable, DescribeTimeToLive and UpdateTimeToLive.
//
// CreateTable panics where [New] does.
func CreateTable(ctx context.Context, client *dynamodb.Client, table string, o *Options) error {
	l := newLayout("CreateTable", client, table, o)
	t := &tableMaker{client: client, layout: l}
	if err := ctx.Err(); err != nil {
		return t.failed(ctx, err)
	}
	for _, step := range []func(context.Context) error{t.create, t.awaitActive, t.enableTTL} {
		if err := step(ctx); err != nil {
			return t.failed(ctx, err)
		}
	}
	return nil
}

type tableMaker struct {
	client *dynamodb.Client
	layout
}

// describe returns nil, and no error, if there is no such table.
func (t *tableMaker) describe(ctx context.Context) (*types.TableDescription, error) {
	out, err := t.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &t.table})
	var absent *types.ResourceNotFoundException
	switch {
	case errors.As(err, &absent):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return out.Table, nil
}

// create creates the table unless there is one.
func (t *tableMaker) create(ctx context.Context) error {
	if d, err := t.describe(ctx); d != nil || err != nil {
		return err
	}
	_, err := t.client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:            &t.table,
		BillingMode:          types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: &t.key, KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &t.key, AttributeType: types.ScalarAttributeTypeS}},
	})
	var inUse *types.ResourceInUseException
	if errors.As(err, &inUse) { // somebody else was quicker, or our own first attempt
		return nil
	}
	return err
}

// awaitActive waits until the table can be used. A table that was just created may
// not be seen at once.
func (t *tableMaker) awaitActive(ctx context.Context) error {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		d, err := t.describe(ctx)
		if err != nil {
			return err
		}
		if d != nil {
			if err := t.checkKeyOf(d); err != nil {
				return err
			}
			switch d.TableStatus {
			case types.TableStatusActive, types.TableStatusUpdating:
				return nil
			case types.TableStatusCreating:
			default:
				return fmt.Errorf("its status is %s, which nothing can be stored in", d.TableStatus)
			}
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// checkKeyOf returns an error if the key of the table is not t's.
func (t *tableMaker) checkKeyOf(d *types.TableDescription) error {
	kinds := map[string]types.ScalarAttributeType{}
	for _, a := range d.AttributeDefinitions {
		kinds[aws.ToString(a.AttributeName)] = a.AttributeType
	}
	var has []string
	for _, k := range d.KeySchema {
		name := aws.ToString(k.AttributeName)
		has = append(has, fmt.Sprintf("%s (%s %s)", name, kinds[name], k.KeyType))
	}
	want := fmt.Sprintf("%s (%s %s)", t.key, types.ScalarAttributeTypeS, types.KeyTypeHash)
	if got := strings.Join(has, ", "); got != want {
		return fmt.Errorf("it exists with the key %s, and the store needs %s; use another table or Options.KeyAttribute", got, want)
	}
	return nil
}

// enableTTL enables Time to Live, where that is known.
func (t *tableMaker) enableTTL(ctx context.Context) error {
	on, err := t.hasTTL(ctx)
	if on || err != nil {
		return ignoreUnknown(err)
	}
	_, err = t.client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               &t.table,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &t.ttl, Enabled: aws.Bool(true)},
	})
	if err == nil || ignoreUnknown(err) == nil {
		return nil
	}
	// It is refused where it is on already, which somebody else may have done since.
	if on, describeErr := t.hasTTL(ctx); on && describeErr == nil {
		return nil
	}
	return err
}

// hasTTL reports whether Time to Live is on. It is an error if that is for another
// attribute.
func (t *tableMaker) hasTTL(ctx context.Context) (bool, error) {
	out, err := t.client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &t.table})
	if err != nil {
		return false, err
	}
	d := out.TimeToLiveDescription
	if d == nil || d.TimeToLiveStatus != types.TimeToLiveStatusEnabled && d.TimeToLiveStatus != types.TimeToLiveStatusEnabling {
		return false, nil
	}
	if got := aws.ToString(d.AttributeName); got != t.ttl {
		return false, fmt.Errorf("its Time to Live is the attribute %q, and the store has it in %q; change one of them (Options.TTLAttribute)", got, t.ttl)
	}
	return true, nil
}

// ignoreUnknown returns nil for the error of an emulator that does not know an
// operation.
func ignoreUnknown(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "UnknownOperationException" {
		return nil
	}
	return err
}
