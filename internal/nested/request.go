package nested

import (
	"context"
	"reflect"
)

// ginKey is the key under which gin's contexts return themselves (gin.ContextKey). They
// have the values of their request's context only if the engine says so
// (ContextWithFallback).
const ginKey = "_gin-gonic/gin/contextkey"

// RequestContext returns the context of the request that a gin.Context holds in its field
// Request, or nil. Package gin is not imported for that.
func RequestContext(ctx context.Context) context.Context {
	holder := ctx.Value(ginKey)
	if holder == nil {
		return nil
	}
	v := reflect.Indirect(reflect.ValueOf(holder))
	if v.Kind() != reflect.Struct {
		return nil
	}
	field := v.FieldByName("Request")
	if !field.IsValid() || field.Kind() != reflect.Pointer || field.IsNil() || !field.CanInterface() {
		return nil
	}
	r, ok := field.Interface().(interface{ Context() context.Context })
	if !ok {
		return nil
	}
	return r.Context()
}
