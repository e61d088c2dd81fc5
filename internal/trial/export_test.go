package trial

import "reflect"

// ReadsBack reports whether values of t are read back before they are kept.
func (g *Guard) ReadsBack(t reflect.Type) bool { return g.verdict(t, t).open }
