package dynamostore

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/seed-0226adef/memo/store"
)

// Limits of DynamoDB, as "Quotas in Amazon DynamoDB" in its Developer Guide has
// them. What exceeds one is refused with an error that wraps [store.ErrRefused],
// before anything is sent.
const (
	// MaxKeyLen is the length in bytes of the longest key. Keys are also refused
	// when they are empty, or not UTF-8, which is all that DynamoDB's strings hold.
	MaxKeyLen = 2048

	// MaxItemSize is the size in bytes of the largest item: the sum of the lengths
	// of the names of its attributes, the key, the value, the token and the two
	// numbers.
	MaxItemSize = 400 << 10

	// MaxValue is the length in bytes of the longest value that is accepted
	// under every key of up to [store.MaxKeyLen] bytes, with the attributes'
	// default names. Longer keys and longer names take from it what they
	// are longer.
	MaxValue = MaxItemSize - defaultNamesLen - fixedSize - store.MaxKeyLen

	// TTLGranularity is the tick that expiry is counted in, by the attribute that
	// holds it ([Options.ExpiryAttribute]). A ttl is rounded up to the next tick.
	// The seconds of DynamoDB's own Time to Live say only when an item that has
	// expired may be removed.
	TTLGranularity = time.Millisecond
)

const (
	defaultNamesLen = len(DefaultKeyAttribute) + len(DefaultValueAttribute) + len(DefaultTokenAttribute) +
		len(DefaultExpiryAttribute) + len(DefaultTTLAttribute)

	// fixedSize is what the token and the numbers take. A number takes one byte
	// for every two digits and one more ("DynamoDB item sizes and formats");
	// an int64 has at most 19. They are counted also where there are none,
	// so that a value's limit does not depend on its ttl.
	fixedSize = store.TokenSize + 2*11
)

// A layout says where a table keeps what.
type layout struct {
	table                          string
	key, value, token, expiry, ttl string
	overhead                       int // size of an item with an empty key and an empty value
}

// newLayout returns the layout that o describes. It panics, on behalf of the
// function caller, if one of the arguments cannot be.
func newLayout(caller string, client *dynamodb.Client, table string, o *Options) layout {
	if client == nil {
		panic(fmt.Sprintf("memo: dynamostore: %s was given a nil client; give it the one that dynamodb.NewFromConfig returns", caller))
	}
	if table == "" {
		panic(fmt.Sprintf("memo: dynamostore: %s was given no table; give it the name of one", caller))
	}
	if o == nil {
		o = &Options{}
	}
	l := layout{table: table, overhead: fixedSize}
	fields := map[string]string{} // by the attribute they name
	for _, f := range []struct {
		to                  *string
		field, name, orElse string
	}{
		{&l.key, "KeyAttribute", o.KeyAttribute, DefaultKeyAttribute},
		{&l.value, "ValueAttribute", o.ValueAttribute, DefaultValueAttribute},
		{&l.token, "TokenAttribute", o.TokenAttribute, DefaultTokenAttribute},
		{&l.expiry, "ExpiryAttribute", o.ExpiryAttribute, DefaultExpiryAttribute},
		{&l.ttl, "TTLAttribute", o.TTLAttribute, DefaultTTLAttribute},
	} {
		if f.name == "" {
			f.name = f.orElse
		}
		if other, taken := fields[f.name]; taken {
			panic(fmt.Sprintf("memo: dynamostore: Options.%s and Options.%s are both %q; give each attribute a name of its own", other, f.field, f.name))
		}
		fields[f.name] = f.field
		*f.to = f.name
		l.overhead += len(f.name)
	}
	return l
}

func checkKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: the key is empty, which DynamoDB does not allow", store.ErrRefused)
	case len(key) > MaxKeyLen:
		return fmt.Errorf("%w: the key is %d bytes long, and DynamoDB takes %d", store.ErrRefused, len(key), MaxKeyLen)
	case !utf8.ValidString(key):
		// The SDK would replace what is invalid, and different keys would meet.
		return fmt.Errorf("%w: the key %.40q is not UTF-8, which DynamoDB's strings are", store.ErrRefused, key)
	}
	return nil
}

func (l *layout) checkValue(key string, value []byte) error {
	if size := l.overhead + len(key) + len(value); size > MaxItemSize {
		return fmt.Errorf("%w: a value of %d bytes makes an item of %d, and DynamoDB takes %d",
			store.ErrRefused, len(value), size, MaxItemSize)
	}
	return nil
}

// An item is what is stored under a key. The zero item is none.
type item struct {
	there  bool
	value  []byte
	expiry int64 // milliseconds since 1970; 0 for never
}

func (i item) live(now time.Time) bool {
	return i.there && (i.expiry == 0 || now.UnixMilli() < i.expiry)
}

// expiry returns when what is written at now ends, in milliseconds since 1970 and
// rounded up, or 0 for never. The longest ttl ends in the year 2318 or so, where
// nothing overflows.
func expiry(now time.Time, ttl time.Duration) int64 {
	if ttl == 0 {
		return 0
	}
	end := now.Add(ttl)
	ms := end.UnixMilli()
	if end.Nanosecond()%int(TTLGranularity) != 0 {
		ms++
	}
	return ms
}

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func (l *layout) keyOnly(key string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{l.key: &types.AttributeValueMemberS{Value: key}}
}

func (l *layout) encode(key string, i item) map[string]types.AttributeValue {
	if i.value == nil {
		i.value = []byte{} // nil would be sent as NULL
	}
	attributes := l.keyOnly(key)
	attributes[l.value] = &types.AttributeValueMemberB{Value: i.value}
	if len(i.value) >= store.TokenSize {
		attributes[l.token] = &types.AttributeValueMemberB{Value: i.value[:store.TokenSize]}
	}
	if i.expiry != 0 {
		attributes[l.expiry] = number(i.expiry)
		attributes[l.ttl] = number((i.expiry + 999) / 1000)
	}
	return attributes
}

// decode returns the key and the item that attributes are, and the zero item if
// there are none. It fails if some other program wrote them.
func (l *layout) decode(attributes map[string]types.AttributeValue) (key string, i item, err error) {
	if len(attributes) == 0 {
		return "", item{}, nil
	}
	if k, ok := attributes[l.key].(*types.AttributeValueMemberS); ok {
		key = k.Value
	}
	value, ok := attributes[l.value].(*types.AttributeValueMemberB)
	if !ok {
		return key, item{}, l.foreign(key, "no binary value in", l.value)
	}
	i = item{there: true, value: value.Value}
	switch end := attributes[l.expiry].(type) {
	case nil:
	case *types.AttributeValueMemberN:
		i.expiry, err = strconv.ParseInt(end.Value, 10, 64)
		if err != nil {
			return key, item{}, l.foreign(key, "no whole number in", l.expiry)
		}
	default:
		return key, item{}, l.foreign(key, "no number in", l.expiry)
	}
	return key, i, nil
}

func (l *layout) foreign(key, what, attribute string) error {
	return fmt.Errorf("%w: dynamostore: table %q: the item %.250q has %s its attribute %q; another program, or other Options, wrote it",
		store.ErrRefused, l.table, key, what, attribute)
}
