"""What the API says of itself: the words about each route, the OpenAPI document made of them, the page for people."""
