"""What pages share: state, cards, charts and the picture viewer."""
