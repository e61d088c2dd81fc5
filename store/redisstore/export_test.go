package redisstore

import "github.com/redis/go-redis/v9"

// Given returns the client that s was given.
func Given(s *Store) redis.UniversalClient { return s.given }
