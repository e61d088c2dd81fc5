package memo

import (
	"context"

	"github.com/seed-0226adef/memo/internal/function"
)

// A Group is a named set of functions that share settings and can be invalidated
// together. A function belongs to the group that is among its options:
//
//	var users = memo.NewGroup("users", memo.TTL(5*time.Minute))
//	var byID = memo.New(loadUser, users, memo.Name("users.byID"))
//
// The group's options are weaker than the function's own, wherever it stands
// among them. A group that is given to NewGroup contains the new one: its
// options are weaker still, and its Clear, InvalidateTags and Stats reach into
// it. A group given to [SetDefault] takes in every function that has no other.
//
// Groups are meant to live as long as the program, and a containing group keeps
// those within it alive. Functions of a group can be dropped at any time. All
// methods are safe for concurrent use.
type Group struct{ inner *function.Group }

// NewGroup makes a group. name is for people and, with a shared store, for the
// group's epochs; it must not be empty. opts apply to all of the group's
// functions. NewGroup panics when given [Name] or [KeyFunc], which belong to one
// function.
func NewGroup(name string, opts ...Option) *Group {
	return &Group{function.NewGroup(name, listOf(opts))}
}

// Apply is what makes it an option.
func (g *Group) Apply(s *function.Settings) { s.Group = g.inner }

// InvalidateTags invalidates every result of the group's functions that carries
// any of the tags, and every result of other functions that was made from one
// of those. After it has returned, no call that begins later returns a result
// that carries such a tag and whose execution began before. It takes the same
// time however many results there are. Without tags it does nothing.
//
// It does so in this process, and in the shared stores of the group's functions:
// other processes see it at once where the store notifies, and within one second
// elsewhere. A store that cannot be told everything within the group's
// [StoreTimeout] yields an error, and is told the rest as soon as it can be; until
// then this process uses nothing from it that carries one of the tags.
//
// The function [InvalidateTags] does so for all groups.
func (g *Group) InvalidateTags(ctx context.Context, tags ...string) error {
	return g.inner.InvalidateTags(ctx, tags)
}

// ExpireTags ends the freshness of every result that InvalidateTags would invalidate: it counts
// as past its TTL from now on, in every process, and is used as long as its function's stale
// windows allow. What has no stale window is invalidated, and so is what an execution
// brings that is under way.
//
// It takes the same time however many results there are. What it cannot tell a store within the
// group's [StoreTimeout] is invalidated instead, with the error of InvalidateTags. Beyond sixteen
// expiries of a tag, what is older than the last sixteen is invalidated.
func (g *Group) ExpireTags(ctx context.Context, tags ...string) error {
	return g.inner.ExpireTags(ctx, tags)
}

// InvalidateTags does what [Group.InvalidateTags] does for every group of the process, as
// if it were called for each: in this process, and in the shared stores of the groups'
// functions. It is for whoever knows what has changed and not who has made results of it,
// such as a listener to a database's changes.
//
// A tag has its meaning in a group: those of one name in several groups are several tags,
// and all of them are invalidated. A group that only another process has is not reached,
// in the stores either; nor are functions outside of all groups.
//
// The stores are told at the same time. The error joins those of all groups. A call from
// outside of all [testing/synctest] bubbles does not reach the groups that were made in one.
func InvalidateTags(ctx context.Context, tags ...string) error {
	return function.InvalidateTags(ctx, tags)
}

// Clear invalidates every result of the group's functions, as [Func.Clear] does
// for each.
func (g *Group) Clear(ctx context.Context) error { return g.inner.Clear(ctx) }

// Expire ends the freshness of every result of the group's functions, as [Group.ExpireTags] does
// for those with a tag.
func (g *Group) Expire(ctx context.Context) error { return g.inner.Expire(ctx) }

// Stats returns the sums over the group's functions, and over those that were in
// the group and have been dropped.
func (g *Group) Stats() Stats { return Stats(g.inner.Stats()) }
