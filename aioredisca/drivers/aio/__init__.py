"""Under asyncio."""
