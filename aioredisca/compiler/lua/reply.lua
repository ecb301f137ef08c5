-- The reply of a write.

return reply
